-- count(payment.failed) / count(payment.failed, payment.captured)
-- reads payment.failed@1, payment.captured@1
-- $tenant = 't'
-- $start = 0
-- $end = 86400000000
WITH
"effective payment.failed@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset
  FROM "payment.failed@1" AS base
  WHERE base.tenant = $tenant
),
"effective payment.captured@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset
  FROM "payment.captured@1" AS base
  WHERE base.tenant = $tenant
),
moved AS (
  SELECT
    log_offset,
    occurred_us - (occurred_us % 3600000000 + 3600000000) % 3600000000 AS bucket_us,
    CAST(1 AS BIGINT) AS a0,
    CAST(1 AS BIGINT) AS a1
  FROM "effective payment.failed@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST(1 AS BIGINT)) IS NOT NULL OR (CAST(1 AS BIGINT)) IS NOT NULL)
  UNION ALL
  SELECT
    log_offset,
    occurred_us - (occurred_us % 3600000000 + 3600000000) % 3600000000 AS bucket_us,
    CAST(NULL AS BIGINT) AS a0,
    CAST(1 AS BIGINT) AS a1
  FROM "effective payment.captured@1"
  WHERE occurred_us >= $start
    AND occurred_us < $end
    AND ((CAST(1 AS BIGINT)) IS NOT NULL)
)
SELECT
  bucket_us,
  CAST(COUNT(a0) AS DECIMAL(38, 0)) AS r0,
  CAST(COUNT(a1) AS DECIMAL(38, 0)) AS r1,
  COUNT(DISTINCT log_offset) AS events
FROM moved
GROUP BY bucket_us
ORDER BY bucket_us
