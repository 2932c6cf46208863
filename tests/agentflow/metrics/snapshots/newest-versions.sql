-- sum(row.written.amount)
-- reads row.written@1, row.dropped@1
-- $tenant = 't'
-- $up_to_offset = 100
-- $start = 0
-- $end = 3600000000
WITH
"effective row.written@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."amount" AS "amount"
  FROM (
    SELECT
      *
    FROM "row.written@1"
    WHERE tenant = $tenant
      AND log_offset < $up_to_offset
    QUALIFY ROW_NUMBER() OVER (PARTITION BY "row_id" ORDER BY "place" DESC, event_id DESC, source DESC) = 1
  ) AS base
  WHERE NOT EXISTS (
      SELECT
        1
      FROM "row.dropped@1" AS r0
      WHERE r0."row_id" = base."row_id"
        AND r0.tenant = $tenant
        AND r0.log_offset < $up_to_offset
        AND r0."place" > base."place"
    )
),
moved AS (
  SELECT
    log_offset,
    CAST("amount" AS DECIMAL(38, 2)) AS a0
  FROM "effective row.written@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST("amount" AS DECIMAL(38, 2))) IS NOT NULL)
)
SELECT
  CAST(COALESCE(SUM(a0), 0) AS DECIMAL(38, 2)) AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
