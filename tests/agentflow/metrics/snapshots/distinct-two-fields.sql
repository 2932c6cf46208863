-- count(distinct thing.made.owner, thing.made.maker, other.seen.owner)
-- reads thing.made@1, thing.undone@1, thing.changed@1, thing.moved@1, other.seen@1
-- $tenant = 't'
-- $up_to_offset = 100
-- $start = 0
-- $end = 3600000000
WITH
"effective thing.made@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    COALESCE(newest."owner", base."owner") AS "owner",
    COALESCE(newest."maker", base."maker") AS "maker"
  FROM "thing.made@1" AS base
  LEFT JOIN (
    SELECT
      correction_key,
      arg_max("maker", (occurred_us, event_id, source)) AS "maker",
      arg_max("owner", (occurred_us, event_id, source)) AS "owner"
    FROM (
      SELECT
        "thing_id" AS correction_key,
        occurred_us,
        event_id,
        source,
        "owner"
      FROM "thing.changed@1"
      WHERE tenant = $tenant
        AND log_offset < $up_to_offset
      UNION ALL BY NAME
      SELECT
        "thing_id" AS correction_key,
        occurred_us,
        event_id,
        source,
        "maker"
      FROM "thing.moved@1"
      WHERE tenant = $tenant
        AND log_offset < $up_to_offset
    )
    GROUP BY correction_key
  ) AS newest ON newest.correction_key = base."thing_id"
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
    AND NOT EXISTS (
      SELECT
        1
      FROM "thing.undone@1" AS r0
      WHERE r0."thing_id" = base."thing_id"
        AND r0.tenant = $tenant
        AND r0.log_offset < $up_to_offset
    )
),
"effective other.seen@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."owner" AS "owner"
  FROM "other.seen@1" AS base
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
),
moved AS (
  SELECT
    log_offset,
    CAST("owner" AS VARCHAR) AS a0
  FROM "effective thing.made@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST("owner" AS VARCHAR)) IS NOT NULL)
  UNION ALL
  SELECT
    log_offset,
    CAST("maker" AS VARCHAR) AS a0
  FROM "effective thing.made@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST("maker" AS VARCHAR)) IS NOT NULL)
  UNION ALL
  SELECT
    log_offset,
    CAST("owner" AS VARCHAR) AS a0
  FROM "effective other.seen@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST("owner" AS VARCHAR)) IS NOT NULL)
)
SELECT
  CAST(COUNT(DISTINCT a0) AS DECIMAL(38, 0)) AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
