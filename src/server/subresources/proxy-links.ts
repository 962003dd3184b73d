/**
 * Links in what is proxied. A program behind a proxy subresource believes that it is served at "/"; absolute paths in its HTML and
 * in Location headers get the proxy's own path in front, so that a browser stays inside (apimachinery/pkg/util/proxy).
 */

export interface LinkBase {
  /** The proxy's own path, without a slash at its end: ".../services/web/proxy". */
  readonly prefix: string
  /** "10.0.0.1:80", as the program may call itself. */
  readonly targetHost: string
  /** What the client asked for by name. */
  readonly requestHost: string
}

const URL_PARTS = /^(?:([a-z][a-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(.*)$/is

/** The link as it must be seen from outside; others' links and relative ones are as they were. */
export function rewriteLink(link: string, { prefix, targetHost, requestHost }: LinkBase): string {
  const match = URL_PARTS.exec(link)
  if (!match) return link
  const [, scheme = '', host = '', path = '', rest = ''] = match
  if (host !== '' && host !== targetHost && host !== requestHost) return link
  if (!path.startsWith('/') || (scheme !== '' && host === '')) return link
  const start = host !== '' && host === requestHost ? `${scheme ? `${scheme}:` : ''}//${host}` : ''
  if (path.startsWith(prefix)) return start + path + rest
  return start + cleanPath(prefix + path) + rest
}

/** Without "//", "." and ".."; a slash at the end stays. */
export function cleanPath(path: string): string {
  const kept: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') kept.pop()
    else kept.push(part)
  }
  const isOpen = path.endsWith('/') && kept.length > 0
  return `/${kept.join('/')}${isOpen ? '/' : ''}`
}

/** Attributes that hold links, by element. */
const LINKS: Readonly<Record<string, readonly string[]>> = {
  a: ['href'],
  applet: ['codebase'],
  area: ['href'],
  audio: ['src'],
  base: ['href'],
  blockquote: ['cite'],
  body: ['background'],
  button: ['formaction'],
  command: ['icon'],
  del: ['cite'],
  embed: ['src'],
  form: ['action'],
  frame: ['longdesc', 'src'],
  head: ['profile'],
  html: ['manifest'],
  iframe: ['longdesc', 'src'],
  img: ['longdesc', 'src', 'usemap'],
  input: ['src', 'usemap', 'formaction'],
  ins: ['cite'],
  link: ['href'],
  object: ['classid', 'codebase', 'data', 'usemap'],
  q: ['cite'],
  script: ['src'],
  source: ['src'],
  video: ['poster', 'src'],
}
/** What is inside these is text, whatever it looks like. */
const RAW_TEXT = /^(script|style|textarea|title|xmp|iframe|noembed|noframes)$/
/** A tag or a comment longer than this is passed on as it is. */
const MAX_TAG_LENGTH = 64 * 1024

const TAG_NAME = /^<([a-z][a-z0-9-]*)(?=[\s/>])/i
const ATTRIBUTE = /([^\s"'>/=]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)/g

function rewriteTag(tag: string, name: string, base: LinkBase): string {
  const attributes = LINKS[name]
  if (!attributes) return tag
  const start = name.length + 1
  const rewritten = tag.slice(start).replace(ATTRIBUTE, (whole, attribute: string, equals: string, value: string) => {
    if (!attributes.includes(attribute.toLowerCase())) return whole
    const quote = value[0] === '"' || value[0] === "'" ? value[0] : ''
    const link = quote ? value.slice(1, -1) : value
    return `${attribute}${equals}${quote}${rewriteLink(link.trim(), base)}${quote}`
  })
  return tag.slice(0, start) + rewritten
}

/** Where a tag that starts at the beginning of `text` ends; -1 when that is still to come. */
function endOfTag(text: string): number {
  let quote = ''
  for (let i = 1; i < text.length; i++) {
    const letter = text[i]!
    if (quote !== '') quote = letter === quote ? '' : quote
    else if ((letter === '"' || letter === "'") && /=\s*$/.test(text.slice(Math.max(0, i - 8), i))) quote = letter
    else if (letter === '>') return i + 1
  }
  return -1
}

/** Rewrites HTML that comes in pieces; holds back no more than one tag. Characters stand for bytes: only ASCII is looked at. */
export class LinkRewriter {
  readonly #base: LinkBase
  #waiting = ''
  /** The element whose text we are in. */
  #rawText = ''

  constructor(base: LinkBase) {
    this.#base = base
  }

  push(text: string): string {
    let rest = this.#waiting + text
    let out = ''
    for (;;) {
      const length = this.#next(rest)
      if (length.end < 0) {
        const isTooLong = rest.length > MAX_TAG_LENGTH
        this.#waiting = isTooLong ? '' : rest
        return isTooLong ? out + rest : out
      }
      if (length.end === 0) {
        this.#waiting = ''
        return out
      }
      out += length.text
      rest = rest.slice(length.end)
    }
  }

  end(): string {
    const rest = this.#waiting
    this.#waiting = ''
    return rest
  }

  /** The next piece, and where it ends in the source: 0 when there is none, -1 when it is not whole yet. */
  #next(source: string): { readonly end: number; readonly text: string } {
    if (source === '') return { end: 0, text: '' }
    if (this.#rawText !== '') return this.#nextRawText(source)
    if (source[0] !== '<') {
      const end = source.indexOf('<')
      return end < 0 ? { end: source.length, text: source } : { end, text: source.slice(0, end) }
    }
    if (source.startsWith('<!--')) return piece(source, source.indexOf('-->', 4), 3)
    if ('<!--'.startsWith(source)) return { end: -1, text: '' }
    if (!/^<[a-z/!?]/i.test(source)) return { end: 1, text: '<' }
    const end = endOfTag(source)
    if (end < 0) return { end, text: '' }
    const tag = source.slice(0, end)
    const name = TAG_NAME.exec(tag)?.[1]?.toLowerCase()
    if (name === undefined) return { end, text: tag }
    if (RAW_TEXT.test(name)) this.#rawText = name
    return { end, text: rewriteTag(tag, name, this.#base) }
  }

  #nextRawText(source: string): { readonly end: number; readonly text: string } {
    const close = source.toLowerCase().indexOf(`</${this.#rawText}`)
    if (close >= 0) {
      this.#rawText = ''
      return close === 0 ? { end: 2, text: '</' } : { end: close, text: source.slice(0, close) }
    }
    const last = source.lastIndexOf('<')
    // The end of the element may be cut in two.
    const isCut = last >= 0 && source.length - last < this.#rawText.length + 2
    const end = isCut ? last : source.length
    return end === 0 ? { end: -1, text: '' } : { end, text: source.slice(0, end) }
  }
}

const piece = (source: string, at: number, length: number) =>
  at < 0 ? { end: -1, text: '' } : { end: at + length, text: source.slice(0, at + length) }
