/**
 * A column of a set-based statement as an array parameter (`$1::uuid[]`) in Postgres' binary format, which neither we nor the server have to write
 * out and parse as text. It is written when the statement is sent: the rows must stay as they are until then. Postgres refuses an array with a
 * value that its type does not have, for its content: SQLSTATE 22P03, or 22008 and 22021 where the value alone tells.
 */
export interface BinaryArray {
  /** The bytes, valid until the next array is written: all are written into the same memory. node-postgres calls this, and copies them at once. */
  toPostgres(): Buffer;
}

/** A parameter for drivers that know nothing of `toPostgres`, or that send later: an array's bytes are copied, and all else stays as it is. */
export function sendable(parameter: unknown): unknown {
  return isBinaryArray(parameter) ? Buffer.from(parameter.toPostgres()) : parameter;
}

/** `uuid[]` from UUIDs with their four hyphens, in either case. */
export function uuidArray<Row>(rows: readonly Row[], column: (row: Row) => string | null): BinaryArray {
  return { toPostgres: () => writeUuids(rows, column) };
}

/** `text[]`. A lone surrogate becomes U+FFFD, as in every text that is sent; Postgres refuses U+0000. */
export function textArray<Row>(rows: readonly Row[], column: (row: Row) => string | null): BinaryArray {
  return { toPostgres: () => writeTexts(rows, column) };
}

/** `bytea[]` */
export function byteaArray<Row>(rows: readonly Row[], column: (row: Row) => Uint8Array | null): BinaryArray {
  return { toPostgres: () => writeVariable(rows, column, bytea) };
}

/** `integer[]` */
export function int4Array<Row>(rows: readonly Row[], column: (row: Row) => number | null): BinaryArray {
  return { toPostgres: () => writeFixed(rows, column, int4) };
}

/** `bigint[]` from integers up to 2^53. */
export function int8Array<Row>(rows: readonly Row[], column: (row: Row) => number | null): BinaryArray {
  return { toPostgres: () => writeFixed(rows, column, int8) };
}

/** `float8[]` */
export function float8Array<Row>(rows: readonly Row[], column: (row: Row) => number | null): BinaryArray {
  return { toPostgres: () => writeFixed(rows, column, float8) };
}

/** `timestamptz[]` from milliseconds since the epoch, of which fractions are cut off. Infinity is 'infinity', -Infinity '-infinity'. */
export function timestamptzArray<Row>(rows: readonly Row[], column: (row: Row) => number | null): BinaryArray {
  return { toPostgres: () => writeFixed(rows, column, timestamptz) };
}

function isBinaryArray(parameter: unknown): parameter is BinaryArray {
  return typeof parameter === "object" && parameter !== null && "toPostgres" in parameter;
}

/**
 * What arrays are written into. One memory for all of them, because memory outside of the JavaScript heap is dear: the garbage collector looks
 * through the whole heap again and again only to free it.
 */
interface Scratch {
  bytes: Buffer;
  view: DataView;
}

const shared = newScratch(1 << 20);

function scratchOf(size: number): Scratch {
  return size <= shared.bytes.length ? shared : newScratch(size);
}

function newScratch(size: number): Scratch {
  const bytes = Buffer.allocUnsafeSlow(size);
  return { bytes, view: new DataView(bytes.buffer) };
}

const headerBytes = 20;
/** Of an array without elements. */
const emptyBytes = 12;
const lengthBytes = 4;
const nullLength = -1;

/** Writes the header before the elements, and returns the array. `end` is where its last element ends. */
function finish({ bytes, view }: Scratch, end: number, { oid, count, hasNulls }: ArrayHeader): Buffer {
  // An array without elements has no dimensions; one with elements has one, which begins at 1.
  const isEmpty = count === 0;
  view.setInt32(0, isEmpty ? 0 : 1);
  view.setInt32(4, hasNulls ? 1 : 0);
  view.setInt32(8, oid);
  view.setInt32(12, count);
  view.setInt32(16, 1);
  return bytes.subarray(0, isEmpty ? emptyBytes : end);
}

interface ArrayHeader {
  /** The element type's. */
  oid: number;
  count: number;
  hasNulls: boolean;
}

interface FixedType<Value> {
  oid: number;
  /** Of each value, in bytes. */
  size: number;
  /** False where the type has no such value. */
  write(view: DataView, offset: number, value: Value): boolean;
}

const int4: FixedType<number> = {
  oid: 23,
  size: 4,
  write(view, offset, value) {
    view.setInt32(offset, value);
    return (value | 0) === value;
  },
};

const int8: FixedType<number> = {
  oid: 20,
  size: 8,
  write(view, offset, value) {
    writeInt64(view, offset, value);
    return Number.isSafeInteger(value);
  },
};

const float8: FixedType<number> = {
  oid: 701,
  size: 8,
  write(view, offset, value) {
    view.setFloat64(offset, value);
    return true;
  },
};

const timestamptz: FixedType<number> = { oid: 1184, size: 8, write: writeTimestamptz };

function writeFixed<Row, Value>(
  rows: readonly Row[],
  column: (row: Row) => Value | null,
  { oid, size, write }: FixedType<Value>,
  scratch: Scratch = scratchOf(fixedBytes(rows.length, size)),
): Buffer {
  const { view } = scratch;
  let hasNulls = false;
  let offset = headerBytes;
  for (const row of rows) {
    const value = column(row);
    if (value === null) {
      hasNulls = true;
      view.setInt32(offset, nullLength);
      offset += lengthBytes;
    } else {
      // A byte too many has Postgres refuse the array. Were this to throw, node-postgres would close the prepared statement and use
      // it again.
      const written = write(view, offset + lengthBytes, value) ? size : size + 1;
      view.setInt32(offset, written);
      offset += lengthBytes + written;
    }
  }
  return finish(scratch, offset, { oid, count: rows.length, hasNulls });
}

/** At the most, with a byte too many in each. */
function fixedBytes(count: number, size: number): number {
  return headerBytes + count * (lengthBytes + size + 1);
}

interface VariableType<Value> {
  oid: number;
  sizeOf(value: Value): number;
  write(target: Buffer, offset: number, value: Value): void;
}

const text: VariableType<string> = {
  oid: 25,
  sizeOf: (value) => Buffer.byteLength(value),
  write: (target, offset, value) => target.write(value, offset),
};

const bytea: VariableType<Uint8Array> = {
  oid: 17,
  sizeOf: (value) => value.byteLength,
  write: (target, offset, value) => target.set(value, offset),
};

function writeVariable<Row, Value>(
  rows: readonly Row[],
  column: (row: Row) => Value | null,
  { oid, sizeOf, write }: VariableType<Value>,
): Buffer {
  const values = rows.map(column);
  const sizes = values.map((value) => (value === null ? nullLength : sizeOf(value)));
  const valueBytes = sizes.reduce((sum, size) => sum + Math.max(size, 0), 0);
  const scratch = scratchOf(headerBytes + rows.length * lengthBytes + valueBytes);
  let offset = headerBytes;
  for (const [index, value] of values.entries()) {
    const size = sizes[index] ?? nullLength;
    scratch.view.setInt32(offset, size);
    offset += lengthBytes;
    if (value !== null && size > 0) {
      write(scratch.bytes, offset, value);
      offset += size;
    }
  }
  return finish(scratch, offset, { oid, count: rows.length, hasNulls: values.includes(null) });
}

function writeTexts<Row>(rows: readonly Row[], column: (row: Row) => string | null): Buffer {
  let all = "";
  for (const row of rows) {
    all += column(row) ?? "";
  }
  return Buffer.byteLength(all) === all.length ? writeAscii(rows, column, all) : writeVariable(rows, column, text);
}

/** Texts of letters that are one byte each: all are written in one call, which costs as much as one for each text, and then moved to their places. */
function writeAscii<Row>(rows: readonly Row[], column: (row: Row) => string | null, all: string): Buffer {
  const scratch = scratchOf(headerBytes + rows.length * lengthBytes + all.length);
  const { bytes, view } = scratch;
  let offset = headerBytes;
  let from = offset + rows.length * lengthBytes;
  bytes.write(all, from, "latin1");
  let hasNulls = false;
  // What is moved is always behind where it goes, by the lengths that are still to come.
  for (const row of rows) {
    const value = column(row);
    const size = value?.length ?? 0;
    hasNulls ||= value === null;
    view.setInt32(offset, value === null ? nullLength : size);
    offset += lengthBytes;
    if (size > 0) bytes.copyWithin(offset, from, from + size);
    offset += size;
    from += size;
  }
  return finish(scratch, offset, { oid: text.oid, count: rows.length, hasNulls });
}

const uuidBytes = 16;
const uuidLength = 36;

/** The texts stand behind the array while it is written, put there in one call. */
function writeUuids<Row>(rows: readonly Row[], column: (row: Row) => string | null): Buffer {
  let all = "";
  for (const row of rows) {
    const uuid = column(row);
    all += uuid?.length === uuidLength ? uuid : "";
  }
  let from = fixedBytes(rows.length, uuidBytes);
  const scratch = scratchOf(from + all.length);
  scratch.bytes.write(all, from);
  const type: FixedType<string> = {
    oid: 2950,
    size: uuidBytes,
    write(view, offset, uuid) {
      const isUuid = uuid.length === uuidLength && writeUuid(view, offset, scratch.bytes, from);
      from += isUuid ? uuidLength : 0;
      return isUuid;
    },
  };
  return writeFixed(rows, column, type, scratch);
}

const hyphen = 0x2d;
/** Where the two digits of each byte of a UUID begin. */
const digitPairs = Uint8Array.of(0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34);
/** By the code of the digit; -1 where it is none. */
const digitValues = new Int8Array(256).map((_, code) =>
  "0123456789abcdef".indexOf(String.fromCharCode(code).toLowerCase()),
);

/** False where the text is no UUID. */
function writeUuid(view: DataView, offset: number, source: Uint8Array, from: number): boolean {
  let all = 0;
  for (let index = 0; index < uuidBytes; index++) {
    const at = from + (digitPairs[index] ?? 0);
    const byte = ((digitValues[source[at] ?? 0] ?? -1) * 16) | (digitValues[source[at + 1] ?? 0] ?? -1);
    all |= byte;
    view.setUint8(offset + index, byte);
  }
  const isHyphenated =
    source[from + 8] === hyphen &&
    source[from + 13] === hyphen &&
    source[from + 18] === hyphen &&
    source[from + 23] === hyphen;
  return all >= 0 && isHyphenated;
}

/** Postgres counts microseconds since 2000. */
const year2000Ms = Date.UTC(2000);
/** Of a Date, which ends before Postgres' times do. */
const maxTimeMs = 8.64e15;

function writeTimestamptz(view: DataView, offset: number, time: number): boolean {
  if (time === Number.POSITIVE_INFINITY) {
    view.setBigInt64(offset, 0x7fff_ffff_ffff_ffffn);
    return true;
  }
  if (time === Number.NEGATIVE_INFINITY) {
    view.setBigInt64(offset, -0x8000_0000_0000_0000n);
    return true;
  }
  if (!(Math.abs(time) <= maxTimeMs)) {
    return false;
  }
  const milliseconds = Math.trunc(time) - year2000Ms;
  if (Number.isSafeInteger(milliseconds * 1000)) {
    writeInt64(view, offset, milliseconds * 1000);
  } else {
    view.setBigInt64(offset, BigInt(milliseconds) * 1000n);
  }
  return true;
}

function writeInt64(view: DataView, offset: number, value: number): void {
  view.setInt32(offset, Math.floor(value / 2 ** 32));
  // Takes the lowest 32 bits.
  view.setUint32(offset + 4, value);
}
