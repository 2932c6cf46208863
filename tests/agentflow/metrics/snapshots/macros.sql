CREATE OR REPLACE MACRO agentflow_coarse(unscaled) AS
  sign(unscaled) * ((abs(unscaled)
    >> greatest(length(ltrim(bin(abs(unscaled)), '0')) - 8, 0)::BIGINT)
    << greatest(length(ltrim(bin(abs(unscaled)), '0')) - 8, 0)::BIGINT);
CREATE OR REPLACE MACRO agentflow_hash(value) AS
  CAST('0x' || right(md5(value), 8) AS UBIGINT);
