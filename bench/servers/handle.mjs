import { answer, filled, loginOf, modified } from './host.mjs'

/** The handler of Sojourn's servers on bare `node:http`. */
export async function handle(sessions, req, res) {
  const session = await sessions.of(req)
  const user = loginOf(req.url)
  if (user) {
    Object.assign(session.data, filled())
    session.login(user)
  } else if (req.url === '/logout') session.logout()
  else if (modified && session.userId) session.data.count++
  res.end(answer(session.userId, session.data.count))
}
