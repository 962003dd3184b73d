/** Tells the authors of ValidatingAdmissionPolicies, in the status, what their expressions get wrong about the kinds they name. */
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import { keyOf } from '../../api/object.ts'
import { apiVersionOf, parseApiVersion, type GroupVersionKind } from '../../api/schema.ts'
import { builtInSchemas } from '../../api/schema-table.ts'
import { isApiError } from '../../api/status.ts'
import { builtInTypes } from '../../cel/built-in-types.ts'
import { declareType } from '../../cel/json-schema.ts'
import type { TypeProvider } from '../../cel/checker.ts'
import { DYN, objectOf, STRING, type Type } from '../../cel/types.ts'
import type { Client } from '../../client/client.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { kindsOf, typeCheck, type CheckedKind } from './type-check.ts'

const KIND = 'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy'

interface Known {
  readonly type: Type
  readonly types: TypeProvider
}

export const policyStatusController: Controller = {
  name: 'validatingadmissionpolicy-status',
  reads: [KIND],
  writes: [`${KIND}/status`],
  watches: [watch(KIND, ({ object }) => keyOf(object))],
  async reconcile(key, { client, caches }) {
    const policy = caches.of(KIND).get(key)
    const generation = policy?.metadata?.generation ?? 0
    if (!policy || generation <= (policy.status?.observedGeneration ?? 0)) return
    const { paramKind } = policy.spec ?? {}
    const params = paramKind && (await find(client, { ...parseApiVersion(paramKind.apiVersion ?? ''), kind: paramKind.kind ?? '' }))
    const checked: CheckedKind[] = []
    for (const kind of kindsOf(policy, (await client.discover()).resources)) {
      const found = await find(client, kind)
      if (found) checked.push({ kind, types: { object: found.type, params: params?.type ?? DYN, types: both(found.types, params?.types) } })
    }
    const expressionWarnings = typeCheck(policy, checked)
    const typeChecking = expressionWarnings.length > 0 ? { expressionWarnings } : {}
    const status = { ...policy.status, observedGeneration: generation, typeChecking }
    await client.update(KIND, { ...policy, status }, { subresource: 'status' })
  },
}

/** Objects before parameters: where both are custom, their types are told apart by their names. */
const both = (one: TypeProvider, other: TypeProvider | undefined): TypeProvider => ({
  fieldOf: (name, field) => (one.hasType(name) ? one : other)?.fieldOf(name, field),
  hasType: (name) => one.hasType(name) || (other?.hasType(name) ?? false),
})

async function find(client: Client, gvk: GroupVersionKind): Promise<Known | undefined> {
  const builtIn = builtInSchemas.schemaOfKind(gvk)
  if (builtIn) return { type: objectOf(builtIn.name), types: builtInTypes }
  const schema = await publishedSchema(client, gvk)
  const root = `${apiVersionOf(gvk)}.${gvk.kind}`
  const declared = schema && declareType(schema, true, root)
  if (!declared) return undefined
  return {
    type: declared.type,
    types: {
      hasType: (name) => declared.provider.hasType(name) || builtInTypes.hasType(name),
      fieldOf(name, field) {
        if (name === root && field === 'metadata') return objectOf('meta/v1.ObjectMeta')
        if (name === root && (field === 'apiVersion' || field === 'kind')) return STRING
        return declared.provider.fieldOf(name, field) ?? builtInTypes.fieldOf(name, field)
      },
    },
  }
}

interface PublishedSchema extends JSONSchemaProps {
  readonly 'x-kubernetes-group-version-kind'?: readonly GroupVersionKind[]
}

/** The schema of a kind that somebody defined, as everybody may read it. */
async function publishedSchema(client: Client, { group, version, kind }: GroupVersionKind): Promise<JSONSchemaProps | undefined> {
  let document: { readonly components?: { readonly schemas?: Readonly<Record<string, PublishedSchema>> } }
  try {
    document = (await client.getPath(`/openapi/v3/apis/${group}/${version}`)) as typeof document
  } catch (error) {
    if (isApiError(error, 'NotFound')) return undefined
    throw error
  }
  return Object.values(document.components?.schemas ?? {}).find((schema) =>
    schema['x-kubernetes-group-version-kind']?.some((own) => own.group === group && own.version === version && own.kind === kind),
  )
}
