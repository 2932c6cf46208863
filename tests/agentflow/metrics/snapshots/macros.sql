CREATE OR REPLACE MACRO agentflow_scaled(value) AS
  CAST(CAST(value AS DECIMAL(38, 9)) * 1000000000 AS HUGEINT);
CREATE OR REPLACE MACRO agentflow_divide(numerator, denominator) AS
  CASE
    WHEN agentflow_scaled(denominator) = 0 THEN NULL
    ELSE CAST(
      CASE WHEN (agentflow_scaled(numerator) < 0) <> (agentflow_scaled(denominator) < 0)
        THEN -1 ELSE 1 END
      * ((2 * abs(agentflow_scaled(numerator)) * 1000000000::HUGEINT
          + abs(agentflow_scaled(denominator)))
         // (2 * abs(agentflow_scaled(denominator))))
      AS DECIMAL(38, 0)) * 0.000000001::DECIMAL(10, 9)
  END;
CREATE OR REPLACE MACRO agentflow_coarse(unscaled) AS
  sign(unscaled) * ((abs(unscaled)
    >> greatest(length(ltrim(bin(abs(unscaled)), '0')) - 8, 0)::BIGINT)
    << greatest(length(ltrim(bin(abs(unscaled)), '0')) - 8, 0)::BIGINT);
CREATE OR REPLACE MACRO agentflow_hash(value) AS
  CAST('0x' || right(md5(value), 8) AS UBIGINT);
