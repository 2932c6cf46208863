-- count(page.viewed)
-- reads page.viewed@1
-- $tenant = 't'
-- $up_to_offset = 100
-- $start = 0
-- $end = 3600000000
WITH
"effective page.viewed@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset
  FROM "page.viewed@1" AS base
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
),
moved AS (
  SELECT
    log_offset,
    CAST(1 AS BIGINT) AS a0
  FROM "effective page.viewed@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST(1 AS BIGINT)) IS NOT NULL)
)
SELECT
  CAST(COUNT(a0) AS DECIMAL(38, 0)) AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
