/**
 * The forms in which hashes are kept, ours and those that users bring along: the modular crypt format and PHC strings,
 * and those of passlib, Django and Werkzeug. What would cost more than a server can spare is taken for none.
 */

/** A kept hash, taken apart. */
export type KeptHash =
  /** `id`: the variant, with a word before it where it is of a former version. */
  | { readonly scheme: 'argon2'; readonly id: string; readonly cost: Argon2Cost; readonly text: string }
  /** `before`: what is done to the password first, against the 72 bytes that bcrypt ends at. */
  | { readonly scheme: 'bcrypt'; readonly text: string; readonly before: 'nothing' | 'sha256' }
  | { readonly scheme: 'scrypt'; readonly N: number; readonly r: number; readonly p: number; readonly sum: Sum }
  | { readonly scheme: 'pbkdf2'; readonly algorithm: string; readonly iterations: number; readonly sum: Sum }

/** What argon2 is to spend: KiB, passes, lanes. */
export interface Argon2Cost {
  readonly memoryCost: number
  readonly timeCost: number
  readonly parallelism: number
}

/** What was salted, and what came of it. */
export interface Sum {
  readonly salt: Uint8Array
  readonly digest: Uint8Array
}

/** A quarter of a gigabyte, and a second or so. */
const MOST_KIB = 262_144
const MOST_PASSES = 16
const MOST_LANES = 16
const MOST_BCRYPT = 14
const MOST_ITERATIONS = 2_000_000
/** Bytes of a digest, in all tools known here: one that was cut off, or emptied, would fit too much. */
const SCRYPT_BYTES = [32, 64]
const PBKDF2_BYTES: Readonly<Record<string, number>> = { sha1: 20, sha256: 32, sha512: 64 }
const LONGEST = 1024

/** The parts of a kept hash; `undefined` for what is of no form known here, is damaged, or costs too much. */
export function parseHash(kept: string): KeptHash | undefined {
  if (kept.length > LONGEST) return undefined
  for (const parse of PARSERS) {
    const found = parse(kept)
    if (found) return found
  }
  return undefined
}

type Parser = (kept: string) => KeptHash | undefined

const PARSERS: readonly Parser[] = [argon2, bcrypt, phcScrypt, djangoScrypt, werkzeugScrypt, passlib, django, werkzeug]

/** `$argon2id$v=19$m=…,t=…,p=…$salt$digest`; Django puts `argon2` in front. */
function argon2(kept: string): KeptHash | undefined {
  const [, text = '', id = '', version, m, t, p, salt = '', digest = ''] =
    /^(?:argon2)?(\$(argon2(?:id|i|d))\$(?:v=(16|19)\$)?m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,3})\$([\w+/]+)\$([\w+/]+))$/.exec(
      kept,
    ) ?? []
  const cost = { memoryCost: Number(m), timeCost: Number(t), parallelism: Number(p) }
  const { memoryCost, timeCost, parallelism } = cost
  const affordable = memoryCost <= MOST_KIB && timeCost <= MOST_PASSES && parallelism <= MOST_LANES
  // Eight blocks to a lane are the least that argon2 computes with (RFC 9106, 3.1).
  if (!affordable || parallelism < 1 || timeCost < 1 || memoryCost < 8 * parallelism) return undefined
  const whole = [salt, digest].every((part) => part.length % 4 !== 1) && salt.length >= 11 && digest.length >= 22
  return whole ? { scheme: 'argon2', id: version === '19' ? id : `old ${id}`, cost, text } : undefined
}

/** `$2b$12$…`; Django puts `bcrypt` or `bcrypt_sha256` in front. `$2x$` says that it was made wrongly. */
function bcrypt(kept: string): KeptHash | undefined {
  const [, before, cost, rest] = /^(?:(bcrypt|bcrypt_sha256)\$)?\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{53})$/.exec(kept) ?? []
  if (!(Number(cost) >= 4 && Number(cost) <= MOST_BCRYPT)) return undefined
  // The letters name versions of programs that do the same: one spelling is enough for every library.
  return { scheme: 'bcrypt', text: `$2b$${cost}$${rest}`, before: before === 'bcrypt_sha256' ? 'sha256' : 'nothing' }
}

/** `$scrypt$ln=16,r=8,p=1$salt$digest`, as PHC and passlib have it. */
function phcScrypt(kept: string): KeptHash | undefined {
  const [, ln, r, p, salt = '', digest = ''] =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([\w+/.]*)\$([\w+/.]+)$/.exec(kept) ?? []
  return scrypt(2 ** Number(ln), r, p, bytes(salt, 'base64'), bytes(digest, 'base64'))
}

/** `scrypt$16384$salt$8$5$digest` */
function djangoScrypt(kept: string): KeptHash | undefined {
  const [, N, salt = '', r, p, digest = ''] =
    /^scrypt\$(\d{1,8})\$([^$]+)\$(\d{1,3})\$(\d{1,3})\$([\w+/]+=*)$/.exec(kept) ?? []
  return scrypt(Number(N), r, p, bytes(salt, 'utf8'), bytes(digest, 'base64'))
}

/** `scrypt:32768:8:1$salt$hex` */
function werkzeugScrypt(kept: string): KeptHash | undefined {
  const [, N, r, p, salt = '', digest = ''] =
    /^scrypt:(\d{1,8}):(\d{1,3}):(\d{1,3})\$([^$]+)\$([\da-f]+)$/.exec(kept) ?? []
  return scrypt(Number(N), r, p, bytes(salt, 'utf8'), bytes(digest, 'hex'))
}

function scrypt(N: number, blocks = '', lanes = '', salt: Uint8Array, digest: Uint8Array): KeptHash | undefined {
  const [r, p] = [Number(blocks), Number(lanes)]
  // 128 N r bytes, gone through p times.
  const kib = (N * r) / 8
  const usable = N > 1 && Number.isInteger(Math.log2(N)) && r > 0 && p > 0 && kib <= MOST_KIB && kib * p <= 4 * MOST_KIB
  const whole = SCRYPT_BYTES.includes(digest.length)
  return usable && whole ? { scheme: 'scrypt', N, r, p, sum: { salt, digest } } : undefined
}

/** `$pbkdf2-sha256$29000$salt$digest` of passlib, where a dot stands for a plus; PHC writes `i=29000`. */
function passlib(kept: string): KeptHash | undefined {
  const [, algorithm = 'sha1', iterations, salt = '', digest = ''] =
    /^\$pbkdf2(?:-(sha1|sha256|sha512))?\$(?:i=)?(\d{1,8})(?:,l=\d{1,3})?\$([\w+/.]*)\$([\w+/.]+)$/.exec(kept) ?? []
  return pbkdf2(algorithm, iterations, bytes(salt, 'base64'), bytes(digest, 'base64'))
}

/** `pbkdf2_sha256$600000$salt$digest` */
function django(kept: string): KeptHash | undefined {
  const [, algorithm = '', iterations, salt = '', digest = ''] =
    /^pbkdf2_(sha1|sha256)\$(\d{1,8})\$([^$]+)\$([\w+/]+=*)$/.exec(kept) ?? []
  return pbkdf2(algorithm, iterations, bytes(salt, 'utf8'), bytes(digest, 'base64'))
}

/** `pbkdf2:sha256:600000$salt$hex` */
function werkzeug(kept: string): KeptHash | undefined {
  const [, algorithm = '', iterations, salt = '', digest = ''] =
    /^pbkdf2:(sha1|sha256|sha512):(\d{1,8})\$([^$]+)\$([\da-f]+)$/.exec(kept) ?? []
  return pbkdf2(algorithm, iterations, bytes(salt, 'utf8'), bytes(digest, 'hex'))
}

function pbkdf2(algorithm: string, count = '', salt: Uint8Array, digest: Uint8Array): KeptHash | undefined {
  const iterations = Number(count)
  const usable = iterations >= 1 && iterations <= MOST_ITERATIONS && digest.length === PBKDF2_BYTES[algorithm]
  return usable ? { scheme: 'pbkdf2', algorithm, iterations, sum: { salt, digest } } : undefined
}

function bytes(text: string, encoding: 'base64' | 'hex' | 'utf8'): Uint8Array {
  return Buffer.from(encoding === 'base64' ? text.replaceAll('.', '+') : text, encoding)
}
