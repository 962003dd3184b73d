/** Whether a configuration fits its type, in upstream's words (structured-merge-diff's typed.Validate). */
import type { Json } from '../object.ts'
import { elementText } from './path-element.ts'
import type { ApplyList, ApplyMap, ApplyScalar, ApplyType } from './schema.ts'
import { elementOf, ElementError, formOf, isList, isMap, itemElement, typeIn, type JsonMap } from './value-kind.ts'

/** The faults, or undefined. Items that are there twice are one. */
export function typeFaults(value: Json, type: ApplyType): string | undefined {
  const faults: string[] = []
  check(value, type, '', faults)
  if (faults.length === 0) return undefined
  return faults.length === 1 ? faults[0] : ['errors:', ...faults.map((fault) => `  ${fault}`)].join('\n')
}

const told = (path: string, why: string): string => (path ? `${path}: ${why}` : why)

function check(value: Json, type: ApplyType, path: string, faults: string[]): void {
  const form = formOf(type, value)
  if (form === 'scalar') {
    const fault = scalarFault(value, type.scalar!)
    if (fault) faults.push(told(path, fault))
  } else if (value !== null && form === 'map') {
    if (isMap(value)) checkMap(value, type.map!, path, faults)
    else faults.push(told(path, `expected map, got &{${goValue(value)}}`))
  } else if (value !== null) {
    if (isList(value)) checkList(value, type.list!, path, faults)
    else faults.push(told(path, `expected list, got &{${goValue(value)}}`))
  }
}

function checkMap(value: JsonMap, map: ApplyMap, path: string, faults: string[]): void {
  for (const name in value) {
    const inner = value[name]
    if (inner === undefined) continue
    const type = typeIn(map, name)
    if (!type) return void faults.push(told(path + elementText(elementOf(name)), 'field not declared in schema'))
    check(inner, type, path + elementText(elementOf(name)), faults)
  }
}

function checkList(items: readonly Json[], list: ApplyList, path: string, faults: string[]): void {
  const seen = new Set<string>()
  for (const [index, item] of items.entries()) {
    let at = `[${index}]`
    if (!list.isAtomic) {
      let element: string
      try {
        element = itemElement(list, item)
      } catch (error) {
        if (!(error instanceof ElementError)) throw error
        return void faults.push(told(path, `element ${index}: ${error.message}`))
      }
      at = elementText(element)
      if (seen.has(element)) faults.push(told(path, `duplicate entries for key ${at}`))
      seen.add(element)
    }
    check(item, list.element, path + at, faults)
  }
}

const GO_TYPES: Readonly<Record<string, string>> = { string: 'string', boolean: 'bool', number: 'int64' }

function scalarFault(value: Json, scalar: ApplyScalar): string | undefined {
  if (value === null) return undefined
  const type = typeof value
  switch (scalar) {
    case 'numeric':
      return type === 'number' ? undefined : `expected numeric (int or float), got ${goType(value)}`
    case 'string':
      return type === 'string' ? undefined : `expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`
    case 'boolean':
      return type === 'boolean' ? undefined : `expected boolean, got &{${goValue(value)}}`
    case 'untyped':
      return type === 'object' ? `expected any scalar, got &{${goValue(value)}}` : undefined
  }
}

function goType(value: Json): string {
  if (isList(value)) return '[]interface {}'
  return isMap(value) ? 'map[string]interface {}' : (GO_TYPES[typeof value] ?? '')
}

/** As Go's %v prints it. */
function goValue(value: Json): string {
  if (isList(value)) return `[${value.map(goValue).join(' ')}]`
  if (!isMap(value)) return value === null ? '<nil>' : String(value)
  return `map[${Object.keys(value)
    .toSorted()
    .map((name) => `${name}:${goValue(value[name] ?? null)}`)
    .join(' ')}]`
}

/** As Go's %#v prints it. */
function goSyntax(value: Json): string {
  if (isList(value)) return `[]interface {}{${value.map(goSyntax).join(', ')}}`
  if (!isMap(value)) return value === null ? 'interface {}(nil)' : JSON.stringify(value)
  return `map[string]interface {}{${Object.keys(value)
    .toSorted()
    .map((name) => `${JSON.stringify(name)}:${goSyntax(value[name] ?? null)}`)
    .join(', ')}}`
}
