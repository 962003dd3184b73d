/**
 * Which devices a CEL expression selects (KEP-4381). It sees one variable, `device`: its driver, and attributes and capacities by the
 * domain that defines them; of a domain that the device knows nothing of there is an empty map, so that a missing attribute, not a
 * missing domain, is what an expression has to guard against. Upstream: dynamic-resource-allocation/cel.
 */
import type { Device } from '../../api/generated/resource/v1.ts'
import { compile } from '../../cel/compile.ts'
import type { Program } from '../../cel/compile.ts'
import { compileDeviceExpression } from '../../cel/device.ts'
import { STRING } from '../../cel/types.ts'
import { CelMap, EntryMap } from '../../cel/values.ts'
import type { Value } from '../../cel/values.ts'
import { createRemembered } from '../node-column.ts'

const EMPTY = new EntryMap([])

/** Of domains: one that is not there is empty. */
class Domains extends CelMap {
  readonly #domains: EntryMap
  constructor(domains: EntryMap) {
    super()
    this.#domains = domains
  }
  get size(): number {
    return this.#domains.size
  }
  get(key: Value): Value {
    return this.#domains.get(key) ?? EMPTY
  }
  keys(): readonly Value[] {
    return this.#domains.keys()
  }
}

const made = (source: string): ((text: string) => Value) => {
  const program = compile(source, { text: STRING }) as Program
  return (text) => {
    const result = program.evaluate({ text })
    return 'value' in result ? result.value : text
  }
}
const versionOf = made('semver(text)')
const quantityOf = made('quantity(text)')

/** Grouped by domain; a name without one is the driver's own. */
function byDomain<T>(named: Readonly<Record<string, T>> | undefined, driver: string, valueOf: (item: T) => Value): Domains {
  const domains = new Map<string, [string, Value][]>()
  for (const [name, item] of Object.entries(named ?? {})) {
    const slash = name.indexOf('/')
    const domain = slash < 0 ? driver : name.slice(0, slash)
    domains.set(domain, [...(domains.get(domain) ?? []), [name.slice(slash + 1), valueOf(item)]])
  }
  return new Domains(new EntryMap([...domains].map(([domain, entries]): [string, Value] => [domain, new EntryMap(entries)])))
}

const variableOf = (driver: string, device: Device): Value =>
  new EntryMap([
    ['driver', driver],
    ['allowMultipleAllocations', device.allowMultipleAllocations ?? false],
    [
      'attributes',
      byDomain(device.attributes, driver, ({ int, bool, string, version }) =>
        int !== undefined ? BigInt(int) : (bool ?? string ?? (version === undefined ? '' : versionOf(version))),
      ),
    ],
    ['capacity', byDomain(device.capacity, driver, ({ value }) => quantityOf(value))],
  ])

export type DeviceMatcher = (driver: string, device: Device) => boolean | { readonly error: string }

const compiled = createRemembered<DeviceMatcher>()

/** Says of each device whether it is selected, or what went wrong. */
export function compileDeviceSelector(expression: string): DeviceMatcher {
  return compiled.of(expression, () => {
    const program = compileDeviceExpression(expression)
    if ('errors' in program) return () => ({ error: `CEL compile error: ${program.errors}` })
    return (driver, device) => {
      const result = program.evaluate({ device: variableOf(driver, device) })
      if ('error' in result) return { error: `CEL runtime error: ${result.error}` }
      return typeof result.value === 'boolean' ? result.value : { error: 'CEL runtime error: the result is no bool' }
    }
  })
}
