import type { ServiceAccount } from '../../../api/generated/core/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge } from '../columns.ts'
import { changeField, mapItems } from '../immutable.ts'

const namesOnly = (account: ServiceAccount): ServiceAccount =>
  changeField(account, 'secrets', (secrets) =>
    mapItems(secrets, (secret) =>
      Object.keys(secret).every((field) => field === 'name') ? secret : secret.name ? { name: secret.name } : {},
    ),
  )

/** ServiceAccounts: who pods are to the API. */
export const serviceAccounts = defineResource({
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  hasGeneration: false,
  columns: nameToAge(),
  // Of a reference the name is all that is kept.
  prepareForCreate: namesOnly,
  prepareForUpdate: namesOnly,
})
