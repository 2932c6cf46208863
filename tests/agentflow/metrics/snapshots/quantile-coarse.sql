-- quantile(payment.captured.processing_ms, 0.95)
-- reads payment.captured@1
-- $tenant = 't'
WITH
"effective payment.captured@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."processing_ms" AS "processing_ms"
  FROM "payment.captured@1" AS base
  WHERE base.tenant = $tenant
),
moved AS (
  SELECT
    log_offset,
    CAST("processing_ms" AS DECIMAL(38, 0)) AS a0
  FROM "effective payment.captured@1"
  WHERE ((CAST("processing_ms" AS DECIMAL(38, 0))) IS NOT NULL)
)
SELECT
  list_sort(list(CAST(agentflow_coarse(CAST(a0 * 1 AS HUGEINT)) AS DECIMAL(38, 0))) FILTER (WHERE a0 IS NOT NULL))[((19 * COUNT(a0) + 19) // 20)] AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
