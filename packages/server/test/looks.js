/** Runs in the page that is looked at, as one expression: what of it is unlabelled, too wide, or too faint to read. */
;(() => {
  const wrong = []
  const all = (selector) => [...document.querySelectorAll(selector)]
  const name = (element) => element.outerHTML.slice(0, 90)

  if (document.documentElement.lang !== 'en') wrong.push('no language')
  if (!/^.+ · Sojourn$/.test(document.title)) wrong.push(`title: ${document.title}`)
  if (all('h1').length !== 1) wrong.push(`${all('h1').length} first headings`)
  if (all('main').length !== 1) wrong.push(`${all('main').length} main parts`)
  if (all('script, [style], style').length > 0) wrong.push('a script or a style in the page')
  for (const input of all('input:not([type=hidden]):not([hidden])')) {
    if (![...input.labels].some((label) => label.innerText.trim())) wrong.push(`no label: ${name(input)}`)
    if (input.type === 'password' && !/^(current|new)-password$/.test(input.autocomplete)) {
      wrong.push(`no autocomplete: ${name(input)}`)
    }
  }
  for (const control of all('button, a[href]')) {
    if (!control.textContent.trim()) wrong.push(`no name: ${name(control)}`)
    const { height } = control.getBoundingClientRect()
    // WCAG 2.5.8; a link within a sentence is exempt.
    const inline = control.matches('p > a')
    if (!inline && height < 24) wrong.push(`too small to hit: ${name(control)}`)
  }
  for (const form of all('form')) if (form.method !== 'post') wrong.push(`a form that does not POST: ${name(form)}`)
  for (const element of all('[aria-describedby], [aria-labelledby]')) {
    const ids = ['aria-describedby', 'aria-labelledby']
      .map((attribute) => element.getAttribute(attribute) ?? '')
      .join(' ')
    for (const id of ids.split(' ').filter(Boolean)) {
      if (!document.getElementById(id)) wrong.push(`points nowhere: ${id}`)
    }
  }
  const ids = all('[id]').map((element) => element.id)
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`twice: ${id}`)
  const levels = all('h1, h2, h3, h4').map((heading) => Number(heading.tagName[1]))
  levels.reduce((before, level) => {
    if (level > before + 1) wrong.push(`a heading of level ${level} after ${before}`)
    return level
  }, 0)
  for (const svg of all('svg'))
    if (svg.getAttribute('aria-hidden') !== 'true') wrong.push(`a picture that speaks: ${name(svg)}`)

  // Contrast as WCAG 2 computes it.
  const channels = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number)
    return { rgb: [r, g, b], a }
  }
  const luminance = ([r, g, b]) => {
    const linear = (channel) =>
      channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
  }
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a)
    return Math.round(((light + 0.05) / (dark + 0.05)) * 100) / 100
  }
  const ground = (element) => {
    const { rgb, a } = channels(getComputedStyle(element).backgroundColor)
    if (a === 1) return rgb
    const under = element.parentElement ? ground(element.parentElement) : [255, 255, 255]
    return rgb.map((channel, i) => channel * a + under[i] * (1 - a))
  }
  const pairs = []
  for (const element of all('body *:not(svg, svg *)')) {
    if (element.closest('.hidden, [hidden]') || element.getClientRects().length === 0) continue
    const style = getComputedStyle(element)
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    if (says) pairs.push({ what: name(element), ratio: ratio(channels(style.color).rgb, ground(element)), least: 4.5 })
    if (element.matches('input[type=text], input[type=password], button.quiet, button.danger')) {
      const edge = ratio(channels(style.borderTopColor).rgb, ground(element.parentElement))
      pairs.push({ what: `edge of ${name(element)}`, ratio: edge, least: 3 })
    }
  }
  const { scrollWidth } = document.documentElement
  return { wrong, pairs, wide: scrollWidth - innerWidth, luminance: luminance(ground(document.body)) }
})()
