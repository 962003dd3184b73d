/** The rules of a built-in kind, out of the schema table; each kind's are made when it is first asked for. */
import { applyTypeOf, emptyObject } from '../api/apply/apply-types.ts'
import { applyDefaults } from '../api/defaults.ts'
import { decodeObject, strictFaults } from '../api/decode.ts'
import type { Json, KubeObject } from '../api/object.ts'
import { apiVersionOf, type GroupVersionKind, type ResourceInfo, type TypeSchema } from '../api/schema.ts'
import { applyStrategicMerge } from '../api/strategic-merge.ts'
import { schemaOf, typeNameOfKind } from '../api/schema-table.ts'
import { assert } from '../base/assert.ts'
import type { KindRules } from './kind-rules.ts'

export const builtinRules = (info: ResourceInfo): KindRules => typeRules(info.type ?? '')

/** The rules of a kind that the schema table knows. */
export function rulesOf(gvk: GroupVersionKind): KindRules {
  const name = typeNameOfKind(gvk)
  assert(name, `no type of ${gvk.kind}`)
  return typeRules(name)
}

const known = new Map<string, KindRules>()

/** The rules of a type by its name, "core/v1.Pod". */
export function typeRules(typeName: string): KindRules {
  let rules = known.get(typeName)
  if (!rules) known.set(typeName, (rules = makeRules(typeName)))
  return rules
}

function makeRules(typeName: string): KindRules {
  let type: TypeSchema | undefined
  const schema = (): TypeSchema => {
    type ??= schemaOf(typeName)
    assert(type, `no schema of ${typeName}`)
    return type
  }
  let empty: KubeObject | undefined
  return {
    decode(value, duplicates = [], positions?) {
      const { object, unknown } = decodeObject(value as Json, schema(), { dropsDisabled: true })
      return { object, strict: strictFaults(unknown, duplicates, positions) }
    },
    defaults: (object: KubeObject) => applyDefaults(object, schema()),
    strategicMerge: (current, patch) => applyStrategicMerge(current, patch as Json, schema()),
    applyType: () => applyTypeOf(schema()),
    emptyObject() {
      const gvk = schema().groupVersionKinds[0]
      assert(gvk, `${typeName} is no kind`)
      return (empty ??= emptyObject(apiVersionOf(gvk), gvk.kind, schema()))
    },
  }
}
