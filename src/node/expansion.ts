/** `$(VAR)` in commands and values (KEP-less, from the beginning): unknown names stay as written, `$$` is a dollar sign. */
export function expand(text: string, valueOf: (name: string) => string | undefined): string {
  let out = ''
  let at = 0
  for (;;) {
    const dollar = text.indexOf('$', at)
    if (dollar < 0 || dollar + 1 >= text.length) return out + text.slice(at)
    out += text.slice(at, dollar)
    const next = text[dollar + 1]!
    if (next === '$') {
      out += '$'
      at = dollar + 2
    } else if (next === '(') {
      const end = text.indexOf(')', dollar + 2)
      if (end < 0) {
        out += '$('
        at = dollar + 2
      } else {
        const name = text.slice(dollar + 2, end)
        out += valueOf(name) ?? `$(${name})`
        at = end + 1
      }
    } else {
      out += `$${next}`
      at = dollar + 2
    }
  }
}
