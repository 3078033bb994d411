/** Arguments after the variant: `HS256` or `Ed25519`; `revocations`, or `none` where they are given up. */
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { acceptNoRevocation, createSessions, jwt } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { ended } from './ended.mjs'
import { handle } from './handle.mjs'
import { listen, secret } from './host.mjs'
import { audience, issuer } from './tokens.mjs'

const [algorithm, checked] = process.argv.slice(3)
const revocations = checked === 'none' ? acceptNoRevocation : ended()
// HS256 is the default, with a key derived from `secret`.
const keys = algorithm === 'Ed25519' ? { keys: { algorithm, key: generateKeyPairSync('ed25519').privateKey } } : {}
const sessions = createSessions({ keys: secret, strategy: jwt({ issuer, audience, revocations, ...keys }) })
const attach = node(sessions)
listen(createServer((req, res) => attach(req, res, () => handle(sessions, req, res))))
