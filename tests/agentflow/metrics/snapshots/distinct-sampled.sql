-- count(distinct page.viewed.session_id, page.clicked.session_id, cart.item_added.session_id)
-- reads page.viewed@1, page.clicked@1, cart.item_added@1
-- $tenant = 't'
WITH
"effective page.viewed@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."session_id" AS "session_id"
  FROM "page.viewed@1" AS base
  WHERE base.tenant = $tenant
),
"effective page.clicked@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."session_id" AS "session_id"
  FROM "page.clicked@1" AS base
  WHERE base.tenant = $tenant
),
"effective cart.item_added@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."session_id" AS "session_id"
  FROM "cart.item_added@1" AS base
  WHERE base.tenant = $tenant
),
moved AS (
  SELECT
    log_offset,
    CAST("session_id" AS VARCHAR) AS a0
  FROM "effective page.viewed@1"
  WHERE ((CAST("session_id" AS VARCHAR)) IS NOT NULL)
  UNION ALL
  SELECT
    log_offset,
    CAST("session_id" AS VARCHAR) AS a0
  FROM "effective page.clicked@1"
  WHERE ((CAST("session_id" AS VARCHAR)) IS NOT NULL)
  UNION ALL
  SELECT
    log_offset,
    CAST("session_id" AS VARCHAR) AS a0
  FROM "effective cart.item_added@1"
  WHERE ((CAST("session_id" AS VARCHAR)) IS NOT NULL)
)
SELECT
  CAST(COUNT(DISTINCT a0) FILTER (WHERE agentflow_hash(a0) % 8 = 0) * 8 AS DECIMAL(38, 0)) AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
