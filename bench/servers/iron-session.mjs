import { createServer } from 'node:http'
import { iron } from '../contenders.mjs'
import { answer, filled, listen, loginOf, modified, secret } from './host.mjs'

const { getIronSession } = await import(iron)
const options = { password: secret, cookieName: 'session', cookieOptions: { secure: false } }

listen(
  createServer(async (req, res) => {
    const session = await getIronSession(req, res, options)
    const user = loginOf(req.url)
    if (user) {
      Object.assign(session, filled(), { user })
      await session.save()
    } else if (modified && session.user) {
      session.count++
      await session.save()
    }
    res.end(answer(session.user, session.count))
  }),
)
