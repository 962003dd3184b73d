import type { ValidatingWebhook, ValidatingWebhookConfiguration } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge } from '../columns.ts'
import { changeField, mapItems } from '../immutable.ts'
import type { FieldErrors } from '../rules.ts'
import { validateWebhooks, webhookDefaults } from './webhook-validation.ts'

const withWebhookDefaults = (webhook: ValidatingWebhook): ValidatingWebhook => webhookDefaults(webhook)

/** ValidatingWebhookConfigurations: who is asked about objects before they are stored. */
export const validatingWebhookConfigurations = defineResource({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingWebhookConfiguration',
  hasGeneration: true,
  columns: nameToAge(integer('Webhooks', ({ webhooks }: ValidatingWebhookConfiguration) => webhooks?.length)),
  setDefaults: (configuration) => changeField(configuration, 'webhooks', (webhooks) => mapItems(webhooks, withWebhookDefaults)),
  validate({ webhooks }) {
    const errors: FieldErrors = []
    validateWebhooks(errors, webhooks)
    return errors
  },
})
