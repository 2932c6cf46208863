CREATE TABLE d.types (id bigint primary key, t time, ts timestamp, tsz timestamptz, d date, iv interval, n numeric, m numeric(12,2), f double precision, b boolean, by bytea, u uuid, ia int[], ua uuid[], na numeric[], fa float8[], ja jsonb, big bigint);
INSERT INTO d.types VALUES
(1, '23:59:59.999999','2026-11-21 06:00:00.123456','2026-11-21 06:00:00.123456+02','2026-11-21','1 year 2 mons 3 days 04:05:06.789',12345678901234567890.123456789,1.10,0.1,true,decode('0102','hex'),'123e4567-e89b-12d3-a456-426655440000',array[1,2],array['123e4567-e89b-12d3-a456-426655440000'::uuid],array[1.10],array[0.1::float8],'{"a": 12345678901234567890.123456789}',9223372036854775807),
(2, '24:00:00','infinity','infinity','infinity','-1 mon',-0.0000000000000000000000000001,-1.10,'NaN',false,'',null,'{}','{}','{}','{}','1.10',-9223372036854775808),
(3, '00:00:00','0001-01-01 00:00:00','0001-01-01 00:00:00+00','0001-01-01','0',0,0,'1e300',null,null,null,null,null,null,null,null,0),
(4, '12:00:00.000001','9999-12-31 23:59:59.999999','9999-12-31 23:59:59.999999+00','9999-12-31',null,'1e50',9999999999.99,'Infinity',null,null,null,null,null,null,null,null,null),
(5, null,'294276-12-31 23:59:59.999999','294276-12-31 23:59:59.999999+00','10000-01-01',null,'1e-50',null,null,null,null,null,null,null,null,null,null,null),
(6, null,'1900-01-01 00:00:00','1582-10-25 00:00:00+00','1582-10-10',null,'NaN',null,null,null,null,null,null,null,null,null,null,null),
(7, null,'-infinity','-infinity','-infinity',null,'1e100',null,null,null,null,null,null,null,null,null,null,null);
