/** Argument after the variant: `plain`, or `cache` for the library's own cache of what it verified. */
import { createServer } from 'node:http'
import { createSigner, createVerifier } from 'fast-jwt'
import { answer, listen, loginOf, secret } from './host.mjs'
import { audience, claims, give, issuer, tokenOf } from './tokens.mjs'

const cache = process.argv[3] === 'cache' ? 10_000 : false
const key = Buffer.from(secret, 'hex')
const sign = createSigner({ key, algorithm: 'HS256' })
const verify = createVerifier({ key, algorithms: ['HS256'], allowedIss: issuer, allowedAud: audience, cache })

function userOf(token) {
  try {
    return verify(token).sub
  } catch {
    return undefined
  }
}

listen(
  createServer((req, res) => {
    const user = loginOf(req.url)
    if (user) give(res, sign(claims(user)))
    res.end(answer(userOf(tokenOf(req)), 0))
  }),
)
