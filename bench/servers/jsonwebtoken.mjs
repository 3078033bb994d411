/** Argument after the variant: the secret as an `object` (a KeyObject), or as `text`, as most examples have it. */
import { createSecretKey } from 'node:crypto'
import { createServer } from 'node:http'
import jsonwebtoken from 'jsonwebtoken'
import { answer, listen, loginOf, secret } from './host.mjs'
import { audience, claims, give, issuer, tokenOf } from './tokens.mjs'

const key = process.argv[3] === 'text' ? secret : createSecretKey(secret, 'hex')
const expected = { algorithms: ['HS256'], issuer, audience }

function userOf(token) {
  try {
    return jsonwebtoken.verify(token, key, expected).sub
  } catch {
    return undefined
  }
}

listen(
  createServer((req, res) => {
    const user = loginOf(req.url)
    if (user) give(res, jsonwebtoken.sign(claims(user), key, { algorithm: 'HS256' }))
    res.end(answer(userOf(tokenOf(req)), 0))
  }),
)
