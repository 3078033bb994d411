/**
 * HTTPS on a machine of one's own: a certificate that nobody vouches for, made on the first start, kept in the data folder
 * for its owner alone, and made anew before it runs out. What browsers tell of it is true: only this folder knows it.
 */
import { X509Certificate } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'

/** Both in PEM. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

const DAY = 24 * 3_600_000
/** What browsers accept at most of a certificate (CA/Browser Forum, 398 days), and a little less. */
const LIFE = 390 * DAY
const RENEWED_BEFORE = 30 * DAY
const ALWAYS = ['localhost', '127.0.0.1', '::1']

/**
 * The certificate of the data folder for this machine and these names; made where there is none, where it lacks one of the
 * names, and thirty days before it runs out. Throws a `TypeError` when others than the owner can read it.
 */
export async function loadCertificate(data: string, names: readonly string[], now: number): Promise<Certificate> {
  const hosts = [...new Set([...ALWAYS, ...names])]
  const path = join(data, 'https.pem')
  const kept = read(path)
  if (kept && fits(kept, hosts, now)) return kept
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const { private: key, cert } = await generate(
    [{ name: 'commonName', value: `Sojourn on ${hostname().slice(0, 40)}` }],
    {
      keyType: 'ec',
      algorithm: 'sha256',
      // An hour ago, because clocks of devices in one room differ.
      notBeforeDate: new Date(now - DAY / 24),
      notAfterDate: new Date(now + LIFE),
      extensions: [
        { name: 'basicConstraints', cA: false, critical: true },
        { name: 'keyUsage', digitalSignature: true, critical: true },
        { name: 'extKeyUsage', serverAuth: true },
        {
          name: 'subjectAltName',
          altNames: hosts.map((host) => (isIP(host) ? { type: 7, ip: host } : { type: 2, value: host })),
        },
      ],
    },
  )
  const beside = `${path}.${process.pid}`
  writeFileSync(beside, `${key.trim()}\n${cert.trim()}\n`, { mode: 0o600 })
  // It may have been there, from a process of this number that has died.
  chmodSync(beside, 0o600)
  renameSync(beside, path)
  return read(path)!
}

function read(path: string): Certificate | undefined {
  let text: string
  try {
    if (process.platform !== 'win32' && statSync(path).mode & 0o077) {
      throw new TypeError(
        `https: others than the owner can read ${path}; delete it, so that another one is made, and trust that one instead`,
      )
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const [key, cert] = ['PRIVATE KEY', 'CERTIFICATE'].map(
    (kind) => new RegExp(`-----BEGIN ${kind}-----[^-]+-----END ${kind}-----`).exec(text)?.[0],
  )
  return key === undefined || cert === undefined ? undefined : { key, cert }
}

function fits({ cert }: Certificate, hosts: readonly string[], now: number): boolean {
  let known: X509Certificate
  try {
    known = new X509Certificate(cert)
  } catch {
    return false
  }
  const covers = (host: string) => (isIP(host) ? known.checkIP(host) : known.checkHost(host)) !== undefined
  return Date.parse(known.validTo) - now > RENEWED_BEFORE && hosts.every(covers)
}
