-- count(distinct page.viewed.session_id, page.clicked.session_id, cart.item_added.session_id)
-- reads page.viewed@1, page.clicked@1, cart.item_added@1
-- $tenant = 't'
-- $up_to_offset = 100
-- $start = 0
-- $end = 3600000000
WITH
"effective page.viewed@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."session_id" AS "session_id"
  FROM "page.viewed@1" AS base
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
),
"effective page.clicked@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."session_id" AS "session_id"
  FROM "page.clicked@1" AS base
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
),
"effective cart.item_added@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."session_id" AS "session_id"
  FROM "cart.item_added@1" AS base
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
),
moved AS (
  SELECT
    log_offset,
    CAST("session_id" AS VARCHAR) AS a0
  FROM "effective page.viewed@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST("session_id" AS VARCHAR)) IS NOT NULL)
  UNION ALL
  SELECT
    log_offset,
    CAST("session_id" AS VARCHAR) AS a0
  FROM "effective page.clicked@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST("session_id" AS VARCHAR)) IS NOT NULL)
  UNION ALL
  SELECT
    log_offset,
    CAST("session_id" AS VARCHAR) AS a0
  FROM "effective cart.item_added@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST("session_id" AS VARCHAR)) IS NOT NULL)
)
SELECT
  CAST(COUNT(DISTINCT a0) AS DECIMAL(38, 0)) AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
