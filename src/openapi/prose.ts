import type { DescFile, DescMessage } from "@bufbuild/protobuf";
import { readSourceComments } from "./source-comments.ts";

/**
 * Turns the comments of the sources into text for readers of JSON: lines are joined to paragraphs, and where a comment names a field of the
 * files, it gets the field's JSON name.
 */
export function createProse(files: readonly DescFile[]): Prose {
  const comments = readSourceComments(files);
  const jsonNames = new Map<string, string>();
  const collect = (message: DescMessage): void => {
    for (const { name, jsonName } of message.fields) if (name !== jsonName) jsonNames.set(name, jsonName);
    message.nestedMessages.forEach(collect);
  };
  for (const file of files) file.messages.forEach(collect);
  // A name such as webhook_signature in a longer word, a path or a URL is none of ours.
  const rename = (text: string) =>
    text.replace(/(?<![\w/.-])[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?![\w/-])/g, (name) => jsonNames.get(name) ?? name);
  return {
    rename,
    describe: (descriptor) => rename(joinLines(comments(descriptor))),
  };
}

export interface Prose {
  /** The comment before a declaration, in paragraphs with empty lines between; empty where there is none. */
  describe(descriptor: object): string;
  /** Replaces proto names of fields by their JSON names. */
  rename(text: string): string;
}

/** The first sentence of a text, without its full stop. */
export function firstSentence(text: string): string {
  const sentence = /^[\s\S]*?[.!?:](?=\s|$)/.exec(text)?.[0] ?? text;
  return sentence.replace(/[.:]$/, "");
}

/** A rule's message as a sentence: `must be an id` becomes `Must be an id.` */
export function asSentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** Texts that are not empty, as paragraphs. */
export function paragraphs(...texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join("\n\n");
}

function joinLines(comment: string): string {
  const lines = comment.split("\n").map((line) => line.replace(/^ /, "").trimEnd());
  let text = "";
  for (const line of lines) {
    // Items of a list and indented lines keep their place; other lines go on where the one before ended.
    const startsAnew = line === "" || /^(?:\s|[-*] |\d+\. )/.test(line);
    text += text === "" || text.endsWith("\n") ? line : startsAnew ? `\n${line}` : ` ${line}`;
    if (line === "") text = `${text.trimEnd()}\n\n`;
  }
  return text.trim();
}
