/** Argument after the variant: `HS256` or `Ed25519`. Keys are CryptoKeys, the fastest of those that jose takes. */
import { createServer } from 'node:http'
import { generateKeyPair, generateSecret, jwtVerify, SignJWT } from 'jose'
import { answer, listen, loginOf } from './host.mjs'
import { audience, claims, give, issuer, tokenOf } from './tokens.mjs'

const alg = process.argv[3]
const secret = alg === 'HS256' ? await generateSecret(alg) : undefined
const { privateKey, publicKey } = secret ? { privateKey: secret, publicKey: secret } : await generateKeyPair(alg)
const expected = { algorithms: [alg], issuer, audience }

async function userOf(token) {
  try {
    return (await jwtVerify(token, publicKey, expected)).payload.sub
  } catch {
    return undefined
  }
}

listen(
  createServer(async (req, res) => {
    const user = loginOf(req.url)
    if (user) give(res, await new SignJWT(claims(user)).setProtectedHeader({ alg }).sign(privateKey))
    res.end(answer(await userOf(tokenOf(req)), 0))
  }),
)
