/**
 * The slow, thorough reader of JSON text: finds what is wrong with text that JSON.parse refuses, in the words of Go's encoding/json,
 * and which fields are given twice. It runs only when json.ts has seen that there is something to find.
 */
const MAX_DUPLICATES = 100
const MAX_POSITIONS = 10_000

export interface ScanResult {
  /** Why the text is no JSON, as Go says it. */
  readonly error?: string
  /** Paths of fields that are given more than once: "spec.ports[0].name". */
  readonly duplicates: readonly string[]
  /** Where in the text a path was first seen, or, of a duplicate, seen again. Only while there are not too many. */
  readonly positions?: ReadonlyMap<string, number>
}

class SyntaxFault extends Error {}

const END = 'unexpected end of JSON input'

/** A character as Go's %q prints it within an error. */
function quote(character: string): string {
  if (character === "'") return String.raw`'\''`
  if (character === '"') return `'"'`
  const code = character.codePointAt(0) ?? 0
  if (code < 0x20) return JSON.stringify(character).replace(/^"|"$/g, "'").replace(/\\u00/, '\\x')
  return `'${character}'`
}

class Scanner {
  readonly #text: string
  readonly duplicates = new Set<string>()
  readonly positions = new Map<string, number>()
  #position = 0

  constructor(text: string) {
    this.#text = text
  }

  run(): void {
    this.#value('', 'looking for beginning of value')
    this.#space()
    if (this.#position < this.#text.length) this.#fail('after top-level value')
  }

  #peek(): string {
    return this.#text[this.#position] ?? ''
  }

  #space(): string {
    while (' \t\r\n'.includes(this.#peek()) && this.#position < this.#text.length) this.#position++
    return this.#peek()
  }

  #fail(context: string): never {
    if (this.#position >= this.#text.length) throw new SyntaxFault(END)
    const character = String.fromCodePoint(this.#text.codePointAt(this.#position) ?? 0)
    throw new SyntaxFault(`invalid character ${quote(character)} ${context}`)
  }

  #value(path: string, context: string): void {
    const character = this.#space()
    if (character === '{') this.#object(path)
    else if (character === '[') this.#array(path)
    else if (character === '"') this.#string()
    else if (character === 't') this.#literal('true')
    else if (character === 'f') this.#literal('false')
    else if (character === 'n') this.#literal('null')
    else if (character === '-' || (character >= '0' && character <= '9')) this.#number()
    else this.#fail(context)
  }

  #object(path: string): void {
    this.#position++
    const seen = new Set<string>()
    if (this.#space() === '}') {
      this.#position++
      return
    }
    for (;;) {
      if (this.#space() !== '"') this.#fail('looking for beginning of object key string')
      const key = this.#string()
      const keyPath = path ? `${path}.${key}` : key
      const isRepeated = seen.has(key) && !this.duplicates.has(keyPath) && this.duplicates.size < MAX_DUPLICATES
      if (isRepeated) this.duplicates.add(keyPath)
      if (isRepeated || (!this.positions.has(keyPath) && this.positions.size < MAX_POSITIONS)) this.positions.set(keyPath, this.#position)
      seen.add(key)
      if (this.#space() !== ':') this.#fail('after object key')
      this.#position++
      this.#value(keyPath, 'looking for beginning of value')
      const next = this.#space()
      if (next !== ',' && next !== '}') this.#fail('after object key:value pair')
      this.#position++
      if (next === '}') return
    }
  }

  #array(path: string): void {
    this.#position++
    if (this.#space() === ']') {
      this.#position++
      return
    }
    for (let index = 0; ; index++) {
      this.#value(`${path}[${index}]`, 'looking for beginning of value')
      const next = this.#space()
      if (next !== ',' && next !== ']') this.#fail('after array element')
      this.#position++
      if (next === ']') return
    }
  }

  #string(): string {
    const start = this.#position++
    for (;;) {
      const character = this.#peek()
      if (character === '' || character < ' ') this.#fail('in string literal')
      this.#position++
      if (character === '"') return JSON.parse(this.#text.slice(start, this.#position)) as string
      if (character === '\\') this.#escape()
    }
  }

  #escape(): void {
    const character = this.#peek()
    if (character !== 'u') {
      if (character === '' || !'"\\/bfnrt'.includes(character)) this.#fail('in string escape code')
      this.#position++
      return
    }
    this.#position++
    for (let digit = 0; digit < 4; digit++) {
      if (!/^[0-9a-fA-F]$/.test(this.#peek())) this.#fail(String.raw`in \u hexadecimal character escape`)
      this.#position++
    }
  }

  #literal(word: string): void {
    for (let index = 0; index < word.length; index++) {
      if (this.#peek() !== word[index]) this.#fail(`in literal ${word} (expecting '${word[index]}')`)
      this.#position++
    }
  }

  #digits(context: string): void {
    if (!/^\d$/.test(this.#peek())) this.#fail(context)
    while (/^\d$/.test(this.#peek())) this.#position++
  }

  #number(): void {
    if (this.#peek() === '-') this.#position++
    if (this.#peek() === '0') this.#position++
    else this.#digits('in numeric literal')
    if (this.#peek() === '.') {
      this.#position++
      this.#digits('after decimal point in numeric literal')
    }
    if (this.#peek() === 'e' || this.#peek() === 'E') {
      this.#position++
      if (this.#peek() === '+' || this.#peek() === '-') this.#position++
      this.#digits('in exponent of numeric literal')
    }
  }
}

export function scanJson(text: string): ScanResult {
  const scanner = new Scanner(text)
  try {
    scanner.run()
  } catch (error) {
    if (error instanceof SyntaxFault) return { error: error.message, duplicates: [...scanner.duplicates] }
    throw error
  }
  return { duplicates: [...scanner.duplicates], positions: scanner.positions }
}
