SELECT x.seg, x.d, count(*) AS n
FROM (SELECT "crm"."Lead Events"."region of lead" AS seg, CASE WHEN ("crm"."Lead Events"."qualified at" < ?) THEN CASE WHEN ("crm"."Lead Events"."qualified at" < ?) THEN 0 ELSE 1 END ELSE CASE WHEN ("crm"."Lead Events"."qualified at" < ?) THEN 2 ELSE 3 END END AS d
FROM "crm"."Lead Events"
WHERE "crm"."Lead Events"."qualified at" >= ? AND "crm"."Lead Events"."qualified at" < ?) AS x GROUP BY x.seg, x.d
LIMIT ? OFFSET ?

SELECT count(*) AS n
FROM "crm"."Lead Events"
WHERE "crm"."Lead Events"."qualified at" >= ? AND "crm"."Lead Events"."qualified at" < ?

SELECT x.seg, x.d, count(*) AS n
FROM (SELECT e.seg AS seg, CASE WHEN (e.ts < ?) THEN CASE WHEN (e.ts < ?) THEN 0 ELSE 1 END ELSE CASE WHEN (e.ts < ?) THEN 2 ELSE 3 END END AS d
FROM (SELECT "crm"."Lead Events"."region of lead" AS seg, CASE WHEN ("crm"."Lead Events"."qualified at" IS NULL) THEN "crm"."Lead Events"."sales at" WHEN ("crm"."Lead Events"."sales at" IS NULL OR "crm"."Lead Events"."qualified at" <= "crm"."Lead Events"."sales at") THEN "crm"."Lead Events"."qualified at" ELSE "crm"."Lead Events"."sales at" END AS ts
FROM "crm"."Lead Events"
WHERE "crm"."Lead Events"."qualified at" >= ? AND "crm"."Lead Events"."qualified at" < ? OR "crm"."Lead Events"."sales at" >= ? AND "crm"."Lead Events"."sales at" < ?) AS e
WHERE e.ts >= ? AND e.ts < ?) AS x GROUP BY x.seg, x.d
LIMIT ? OFFSET ?

SELECT count(*) AS n
FROM (SELECT "crm"."Lead Events"."region of lead" AS seg, CASE WHEN ("crm"."Lead Events"."qualified at" IS NULL) THEN "crm"."Lead Events"."sales at" WHEN ("crm"."Lead Events"."sales at" IS NULL OR "crm"."Lead Events"."qualified at" <= "crm"."Lead Events"."sales at") THEN "crm"."Lead Events"."qualified at" ELSE "crm"."Lead Events"."sales at" END AS ts
FROM "crm"."Lead Events"
WHERE "crm"."Lead Events"."qualified at" >= ? AND "crm"."Lead Events"."qualified at" < ? OR "crm"."Lead Events"."sales at" >= ? AND "crm"."Lead Events"."sales at" < ?) AS e
WHERE e.ts >= ? AND e.ts < ?
