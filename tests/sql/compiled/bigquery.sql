SELECT `x`.`seg`, `x`.`d`, count(*) AS `n`
FROM (SELECT `Lead Events`.`region of lead` AS `seg`, CASE WHEN (`Lead Events`.`qualified at` < :b2) THEN CASE WHEN (`Lead Events`.`qualified at` < :b1) THEN 0 ELSE 1 END ELSE CASE WHEN (`Lead Events`.`qualified at` < :b3) THEN 2 ELSE 3 END END AS `d`
FROM `crm`.`Lead Events`
WHERE `Lead Events`.`qualified at` >= :b0 AND `Lead Events`.`qualified at` < :b4) AS `x` GROUP BY `x`.`seg`, `x`.`d`
LIMIT :param_1

SELECT count(*) AS `n`
FROM `crm`.`Lead Events`
WHERE `Lead Events`.`qualified at` >= :b0 AND `Lead Events`.`qualified at` < :b4

SELECT `x`.`seg`, `x`.`d`, count(*) AS `n`
FROM (SELECT `e`.`seg` AS `seg`, CASE WHEN (`e`.`ts` < :b2) THEN CASE WHEN (`e`.`ts` < :b1) THEN 0 ELSE 1 END ELSE CASE WHEN (`e`.`ts` < :b3) THEN 2 ELSE 3 END END AS `d`
FROM (SELECT `Lead Events`.`region of lead` AS `seg`, CASE WHEN (`Lead Events`.`qualified at` IS NULL) THEN `Lead Events`.`sales at` WHEN (`Lead Events`.`sales at` IS NULL OR `Lead Events`.`qualified at` <= `Lead Events`.`sales at`) THEN `Lead Events`.`qualified at` ELSE `Lead Events`.`sales at` END AS `ts`
FROM `crm`.`Lead Events`
WHERE `Lead Events`.`qualified at` >= :b0 AND `Lead Events`.`qualified at` < :b4 OR `Lead Events`.`sales at` >= :b0 AND `Lead Events`.`sales at` < :b4) AS `e`
WHERE `e`.`ts` >= :b0 AND `e`.`ts` < :b4) AS `x` GROUP BY `x`.`seg`, `x`.`d`
LIMIT :param_1

SELECT count(*) AS `n`
FROM (SELECT `Lead Events`.`region of lead` AS `seg`, CASE WHEN (`Lead Events`.`qualified at` IS NULL) THEN `Lead Events`.`sales at` WHEN (`Lead Events`.`sales at` IS NULL OR `Lead Events`.`qualified at` <= `Lead Events`.`sales at`) THEN `Lead Events`.`qualified at` ELSE `Lead Events`.`sales at` END AS `ts`
FROM `crm`.`Lead Events`
WHERE `Lead Events`.`qualified at` >= :b0 AND `Lead Events`.`qualified at` < :b4 OR `Lead Events`.`sales at` >= :b0 AND `Lead Events`.`sales at` < :b4) AS `e`
WHERE `e`.`ts` >= :b0 AND `e`.`ts` < :b4
