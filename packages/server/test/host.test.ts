import { request } from 'node:http'
import { expect, test } from 'vitest'
import { PASSWORD, started } from './started.js'

/** One request with headers that `fetch` does not let a caller set. */
function ask(
  url: string,
  path: string,
  headers: Record<string, string>,
  body = '',
): Promise<{ status: number; headers: string; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url + path, { method: body ? 'POST' : 'GET', headers }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: JSON.stringify(response.headers), text }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

test('A-100: a Host or X-Forwarded-Host of the sender’s choice is in no address that we send', async () => {
  const { url, user } = await started()
  await user('ann')
  const poison = { host: 'evil.example', 'x-forwarded-host': 'evil.example', forwarded: 'host=evil.example' }
  const form = { ...poison, 'content-type': 'application/x-www-form-urlencoded' }
  const answers = [
    await ask(url, '/', poison),
    await ask(url, '/account', poison),
    await ask(url, '/login?next=/devices', poison),
    await ask(
      url,
      '/login',
      form,
      new URLSearchParams({ username: 'ann', password: PASSWORD, next: '/devices' }).toString(),
    ),
    await ask(url, '/nowhere', poison),
  ]
  expect(answers.map(({ status }) => status)).toEqual([200, 303, 200, 303, 404])
  for (const { headers, text } of answers) expect(headers + text).not.toContain('evil.example')
})
