import {
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescOneof,
  type DescService,
  toBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/** Finds the files that describe a set of services, and everything that those files import. Names are full names, without a leading dot. */
export interface DescriptorIndex {
  fileByName(name: string): DescFile | undefined;
  /** The file that declares a message, field, oneof, enum, enum value, extension, service or method. */
  fileBySymbol(symbol: string): DescFile | undefined;
  fileByExtension(extendee: string, number: number): DescFile | undefined;
  /** The numbers of all known extensions of a message, ascending; undefined where there is no such message. */
  extensionNumbers(extendee: string): number[] | undefined;
}

/** Indexes the files of the services, with all imports. */
export function indexDescriptors(services: readonly DescService[]): DescriptorIndex {
  const files = new Map<string, DescFile>();
  for (const service of services) addWithImports(files, service.file);
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescExtension>>();
  for (const file of files.values()) {
    for (const symbol of symbolsOf(file, extensions)) symbols.set(symbol, file);
  }
  return {
    fileByName: (name) => files.get(name),
    fileBySymbol: (symbol) => symbols.get(symbol),
    fileByExtension: (extendee, number) => extensions.get(extendee)?.get(number)?.file,
    extensionNumbers: (extendee) => {
      const known = extensions.get(extendee);
      if (known !== undefined) return [...known.keys()].sort((a, b) => a - b);
      return symbols.has(extendee) ? [] : undefined;
    },
  };
}

/** The file and all that it imports, each as the bytes of a google.protobuf.FileDescriptorProto; the file itself first. */
export function serializeWithImports(file: DescFile): Uint8Array[] {
  const files = new Map<string, DescFile>();
  addWithImports(files, file);
  return [...files.values()].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
}

function addWithImports(files: Map<string, DescFile>, file: DescFile): void {
  // Not DescFile.name, which lacks the `.proto` of the name under which a file is imported.
  if (files.has(file.proto.name)) return;
  files.set(file.proto.name, file);
  for (const imported of file.dependencies) addWithImports(files, imported);
}

function* symbolsOf(file: DescFile, extensions: Map<string, Map<number, DescExtension>>): Iterable<string> {
  for (const type of nestedTypes(file)) {
    yield type.typeName;
    switch (type.kind) {
      case "message":
        yield* type.members.map((member) => memberName(type, member));
        break;
      case "enum":
        // The values of an enum stand beside it, not in it.
        yield* type.values.map(({ name }) => [...type.typeName.split(".").slice(0, -1), name].join("."));
        break;
      case "service":
        yield* type.methods.map(({ name }) => `${type.typeName}.${name}`);
        break;
      case "extension": {
        const known = extensions.get(type.extendee.typeName) ?? new Map<number, DescExtension>();
        extensions.set(type.extendee.typeName, known.set(type.number, type));
      }
    }
  }
}

function memberName(message: DescMessage, member: { name: string } | DescOneof): string {
  return `${message.typeName}.${member.name}`;
}
