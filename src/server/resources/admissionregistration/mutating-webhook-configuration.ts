import type { MutatingWebhook, MutatingWebhookConfiguration } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge } from '../columns.ts'
import { changeField, mapItems, withPointerDefaults } from '../immutable.ts'
import type { FieldErrors } from '../rules.ts'
import { validateWebhooks, webhookDefaults } from './webhook-validation.ts'

const withWebhookDefaults = (webhook: MutatingWebhook): MutatingWebhook =>
  withPointerDefaults(webhookDefaults(webhook), { reinvocationPolicy: 'Never' })

/** MutatingWebhookConfigurations: who is asked to change objects before they are stored. */
export const mutatingWebhookConfigurations = defineResource({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingWebhookConfiguration',
  hasGeneration: true,
  columns: nameToAge(integer('Webhooks', ({ webhooks }: MutatingWebhookConfiguration) => webhooks?.length)),
  setDefaults: (configuration) => changeField(configuration, 'webhooks', (webhooks) => mapItems(webhooks, withWebhookDefaults)),
  validate({ webhooks }) {
    const errors: FieldErrors = []
    validateWebhooks(errors, webhooks)
    return errors
  },
})
