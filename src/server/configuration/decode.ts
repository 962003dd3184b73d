/**
 * Reading the server's configuration files (apiserver.config.k8s.io and its like) strictly: a field that is unknown or of the wrong type
 * is an error, never passed over, for a file that is half understood leaves doors open. What the values mean is checked by each file's
 * own validation; this holds the shape. Parsing the text is done here too, so that a syntax error is told like the others.
 */
import { JsonSyntaxError, parseJson } from '../../api/json.ts'
import { parseYaml, YamlSyntaxError } from '../../api/yaml.ts'
import { EvaluationError } from '../../cel/values.ts'
import { parseDuration } from '../../cel/library/time-text.ts'

/** What a configuration may hold; fields are optional, as in upstream's types: validation says what must be there. */
export type Shape =
  | 'string'
  | 'boolean'
  | 'integer'
  /** "1h30m0s" */
  | 'duration'
  /** Anything: another reader's. */
  | 'any'
  | { readonly list: Shape }
  | { readonly map: Shape }
  | Fields

export interface Fields {
  readonly fields: Readonly<Record<string, Shape>>
}

export interface ConfigurationKind {
  readonly kind: string
  /** "apiserver.config.k8s.io/v1" and the older ones that are read alike. */
  readonly apiVersions: readonly string[]
  readonly shape: Fields
}

/** A configuration that cannot be used. The message says why, without the file's name. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
}

/** A configuration file may be this long. */
const MAX_LENGTH = 1024 * 1024
const MAX_FAULTS = 20

export function decodeConfiguration<T>(text: string, kind: ConfigurationKind): T {
  if (text.length > MAX_LENGTH) throw new ConfigurationError(`the file is longer than ${MAX_LENGTH} characters`)
  return checkConfiguration<T>(parse(text), kind)
}

/** The same for a value that is parsed already: a configuration inside another. */
export function checkConfiguration<T>(value: unknown, { kind, apiVersions, shape }: ConfigurationKind): T {
  if (!isRecord(value)) throw new ConfigurationError(`expected an object of kind ${kind}`)
  if (!value['kind']) throw new ConfigurationError("Object 'Kind' is missing")
  if (!value['apiVersion']) throw new ConfigurationError("Object 'apiVersion' is missing")
  if (value['kind'] !== kind || !apiVersions.includes(value['apiVersion'] as string)) {
    throw new ConfigurationError(
      `no kind ${JSON.stringify(value['kind'])} is registered for version ${JSON.stringify(value['apiVersion'])}, expected ${kind} of ${apiVersions.join(' or ')}`,
    )
  }
  const faults: string[] = []
  check({ fields: { apiVersion: 'string', kind: 'string', ...shape.fields } }, value, '', faults)
  if (faults.length > 0) throw new ConfigurationError(`strict decoding error: ${faults.slice(0, MAX_FAULTS).join(', ')}`)
  return value as T
}

function parse(text: string): unknown {
  try {
    const { value, duplicates } = /^\s*\{/.test(text) ? parseJson(text) : parseYaml(text)
    if (duplicates.length > 0) throw new ConfigurationError(`strict decoding error: duplicate field ${JSON.stringify(duplicates[0])}`)
    return value
  } catch (error) {
    if (error instanceof YamlSyntaxError || error instanceof JsonSyntaxError)
      throw new ConfigurationError(`error converting YAML to JSON: ${error.message}`)
    throw error
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function isDuration(value: unknown): boolean {
  if (typeof value !== 'string') return false
  try {
    parseDuration(value)
    return true
  } catch (error) {
    if (error instanceof EvaluationError) return false
    throw error
  }
}

const SIMPLE: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  integer: (value) => Number.isSafeInteger(value),
  duration: isDuration,
  any: () => true,
}

function check(shape: Shape, value: unknown, path: string, faults: string[]): void {
  if (value === null || value === undefined) return
  if (typeof shape === 'string') {
    if (!SIMPLE[shape]!(value)) faults.push(`${path}: expected ${shape}, got ${JSON.stringify(value)}`)
  } else if ('list' in shape) {
    if (!Array.isArray(value)) faults.push(`${path}: expected a list`)
    else value.forEach((item: unknown, index) => check(shape.list, item, `${path}[${index}]`, faults))
  } else if (!isRecord(value)) faults.push(`${path}: expected an object`)
  else if ('map' in shape) {
    for (const key of Object.keys(value)) check(shape.map, value[key], `${path}.${key}`, faults)
  } else checkFields(shape, value, path, faults)
}

function checkFields({ fields }: Fields, value: Record<string, unknown>, path: string, faults: string[]): void {
  for (const key of Object.keys(value)) {
    const inner = path === '' ? key : `${path}.${key}`
    const shape = Object.hasOwn(fields, key) ? fields[key] : undefined
    if (shape === undefined) faults.push(`unknown field ${JSON.stringify(inner)}`)
    else check(shape, value[key], inner, faults)
  }
}

/** A duration of Go ("1m30s") that the shape `duration` has passed, in milliseconds. */
export const durationMs = (text: string): number => Number(parseDuration(text).ns / 1_000_000n)
