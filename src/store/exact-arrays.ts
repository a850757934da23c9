import type { MikroORM } from "@mikro-orm/core";

/**
 * Has the ORM write arrays of texts exactly: it leaves most texts without quotes, so that `NULL` would become no value, spaces at both ends would
 * be lost, and a text of spaces refused; and it quotes the others as JSON does, whose escapes mean something else to Postgres.
 */
export function writeArraysExactly(orm: MikroORM): void {
  orm.config.getPlatform().marshallArray = arrayLiteral;
}

/** In quotes anything stands for itself but quotes and backslashes ("Array Input and Output Syntax" in the manual of Postgres). */
function arrayLiteral(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replaceAll(/["\\]/g, "\\$&")}"`).join(",")}}`;
}
