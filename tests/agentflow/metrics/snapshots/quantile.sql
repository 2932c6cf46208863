-- quantile(payment.captured.processing_ms, 0.95)
-- reads payment.captured@1
-- $tenant = 't'
-- $up_to_offset = 100
-- $start = 0
-- $end = 3600000000
WITH
"effective payment.captured@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."processing_ms" AS "processing_ms"
  FROM "payment.captured@1" AS base
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
),
moved AS (
  SELECT
    log_offset,
    CAST("processing_ms" AS DECIMAL(38, 0)) AS a0
  FROM "effective payment.captured@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST("processing_ms" AS DECIMAL(38, 0))) IS NOT NULL)
)
SELECT
  list_sort(list(a0) FILTER (WHERE a0 IS NOT NULL))[((19 * COUNT(a0) + 19) // 20)] AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
