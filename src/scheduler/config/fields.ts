/**
 * Reads a configuration field by field and collects what is wrong with it, all at once, each with its path: "profiles[0].schedulerName:
 * Required value". Fields that nobody asked for are errors, too, as upstream decodes strictly.
 */
import type { Json } from '../../api/object.ts'

type JsonObject = { readonly [name: string]: Json }

const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

export class Fields {
  readonly path: string
  readonly #value: JsonObject
  readonly #errors: string[]
  readonly #asked = new Set<string>()

  constructor(value: Json | undefined, path: string, errors: string[]) {
    this.path = path
    this.#errors = errors
    this.#value = isObject(value) ? value : {}
    if (value !== undefined && !isObject(value)) errors.push(`${path || 'the configuration'}: expected an object`)
  }

  pathOf(name: string): string {
    return this.path ? `${this.path}.${name}` : name
  }

  error(name: string, message: string): void {
    this.#errors.push(`${this.pathOf(name)}: ${message}`)
  }

  /** An error in upstream's words about a value that is there. */
  invalid(name: string, message: string): void {
    this.error(name, `Invalid value: ${JSON.stringify(this.#value[name] ?? null)}: ${message}`)
  }

  raw(name: string): Json | undefined {
    this.#asked.add(name)
    return Object.hasOwn(this.#value, name) ? (this.#value[name] ?? undefined) : undefined
  }

  text(name: string): string | undefined {
    const value = this.raw(name)
    if (value === undefined || typeof value === 'string') return value
    this.error(name, 'expected a string')
    return undefined
  }

  integer(name: string): number | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value
    this.error(name, 'expected an integer')
    return undefined
  }

  flag(name: string): boolean | undefined {
    const value = this.raw(name)
    if (value === undefined || typeof value === 'boolean') return value
    this.error(name, 'expected true or false')
    return undefined
  }

  /** A duration as Go writes it ("1m30s", "500ms"), in milliseconds. */
  durationMs(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g)]
    if (text !== '0' && parts.map(([part]) => part).join('') !== text) {
      this.error(name, `time: invalid duration ${JSON.stringify(text)}`)
      return undefined
    }
    return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * UNIT_MS[unit!]!, 0)
  }

  object(name: string): Fields | undefined {
    const value = this.raw(name)
    return value === undefined ? undefined : new Fields(value, this.pathOf(name), this.#errors)
  }

  /** Each element's fields; what is not an object is an error. */
  objects(name: string): readonly Fields[] {
    return this.#elements(name).map((value, i) => new Fields(value, `${this.pathOf(name)}[${i}]`, this.#errors))
  }

  texts(name: string): readonly string[] {
    return this.#elements(name).flatMap((value, i) => {
      if (typeof value === 'string') return [value]
      this.error(`${name}[${i}]`, 'expected a string')
      return []
    })
  }

  #elements(name: string): readonly Json[] {
    const value = this.raw(name)
    if (value === undefined) return []
    if (Array.isArray(value)) return value as readonly Json[]
    this.error(name, 'expected a list')
    return []
  }

  /** All of it as it was written, for who reads it in their own way. */
  whole(): Json {
    for (const name of Object.keys(this.#value)) this.#asked.add(name)
    return this.#value
  }

  /** Ends the reading: whatever was not asked for is not known. */
  done(): void {
    for (const name of Object.keys(this.#value))
      if (!this.#asked.has(name)) this.#errors.push(`strict decoding error: unknown field "${this.pathOf(name)}"`)
  }
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 }
