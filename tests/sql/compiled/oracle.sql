SELECT x.seg, x.d, count(*) AS n
FROM (SELECT crm."Lead Events"."region of lead" AS seg, CASE WHEN (crm."Lead Events"."qualified at" < :b2) THEN CASE WHEN (crm."Lead Events"."qualified at" < :b1) THEN 0 ELSE 1 END ELSE CASE WHEN (crm."Lead Events"."qualified at" < :b3) THEN 2 ELSE 3 END END AS d
FROM crm."Lead Events"
WHERE crm."Lead Events"."qualified at" >= :b0 AND crm."Lead Events"."qualified at" < :b4) x GROUP BY x.seg, x.d
FETCH FIRST __[POSTCOMPILE_param_1] ROWS ONLY

SELECT count(*) AS n
FROM crm."Lead Events"
WHERE crm."Lead Events"."qualified at" >= :b0 AND crm."Lead Events"."qualified at" < :b4

SELECT x.seg, x.d, count(*) AS n
FROM (SELECT e.seg AS seg, CASE WHEN (e.ts < :b2) THEN CASE WHEN (e.ts < :b1) THEN 0 ELSE 1 END ELSE CASE WHEN (e.ts < :b3) THEN 2 ELSE 3 END END AS d
FROM (SELECT crm."Lead Events"."region of lead" AS seg, CASE WHEN (crm."Lead Events"."qualified at" IS NULL) THEN crm."Lead Events"."sales at" WHEN (crm."Lead Events"."sales at" IS NULL OR crm."Lead Events"."qualified at" <= crm."Lead Events"."sales at") THEN crm."Lead Events"."qualified at" ELSE crm."Lead Events"."sales at" END AS ts
FROM crm."Lead Events"
WHERE crm."Lead Events"."qualified at" >= :b0 AND crm."Lead Events"."qualified at" < :b4 OR crm."Lead Events"."sales at" >= :b0 AND crm."Lead Events"."sales at" < :b4) e
WHERE e.ts >= :b0 AND e.ts < :b4) x GROUP BY x.seg, x.d
FETCH FIRST __[POSTCOMPILE_param_1] ROWS ONLY

SELECT count(*) AS n
FROM (SELECT crm."Lead Events"."region of lead" AS seg, CASE WHEN (crm."Lead Events"."qualified at" IS NULL) THEN crm."Lead Events"."sales at" WHEN (crm."Lead Events"."sales at" IS NULL OR crm."Lead Events"."qualified at" <= crm."Lead Events"."sales at") THEN crm."Lead Events"."qualified at" ELSE crm."Lead Events"."sales at" END AS ts
FROM crm."Lead Events"
WHERE crm."Lead Events"."qualified at" >= :b0 AND crm."Lead Events"."qualified at" < :b4 OR crm."Lead Events"."sales at" >= :b0 AND crm."Lead Events"."sales at" < :b4) e
WHERE e.ts >= :b0 AND e.ts < :b4
