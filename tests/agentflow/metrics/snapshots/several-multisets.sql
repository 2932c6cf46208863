-- quantile(thing.made.count, 0.9) + min(thing.made.count) - max(coalesce(thing.made.weight, 7))
-- reads thing.made@1, thing.undone@1, thing.changed@1, thing.moved@1
-- $tenant = 't'
WITH
"effective thing.made@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    COALESCE(newest."weight", base."weight") AS "weight",
    COALESCE(newest."count", base."count") AS "count"
  FROM "thing.made@1" AS base
  LEFT JOIN (
    SELECT
      correction_key,
      arg_max("count", (occurred_us, event_id, source)) AS "count",
      arg_max("weight", (occurred_us, event_id, source)) AS "weight"
    FROM (
      SELECT
        "thing_id" AS correction_key,
        occurred_us,
        event_id,
        source,
        "weight",
        "count"
      FROM "thing.changed@1"
      WHERE tenant = $tenant
      UNION ALL BY NAME
      SELECT
        "thing_id" AS correction_key,
        occurred_us,
        event_id,
        source,
        "weight"
      FROM "thing.moved@1"
      WHERE tenant = $tenant
    )
    GROUP BY correction_key
  ) AS newest ON newest.correction_key = base."thing_id"
  WHERE base.tenant = $tenant
    AND NOT EXISTS (
      SELECT
        1
      FROM "thing.undone@1" AS r0
      WHERE r0."thing_id" = base."thing_id"
        AND r0.tenant = $tenant
    )
),
moved AS (
  SELECT
    log_offset,
    CAST("count" AS DECIMAL(38, 0)) AS a0,
    CAST(COALESCE("weight", 7) AS DECIMAL(38, 3)) AS a1
  FROM "effective thing.made@1"
  WHERE ((CAST("count" AS DECIMAL(38, 0))) IS NOT NULL OR (CAST(COALESCE("weight", 7) AS DECIMAL(38, 3))) IS NOT NULL)
)
SELECT
  list_sort(list(a0) FILTER (WHERE a0 IS NOT NULL))[((9 * COUNT(a0) + 9) // 10)] AS r0,
  MIN(a0) AS r1,
  MAX(a1) AS r2,
  COUNT(DISTINCT log_offset) AS events
FROM moved
