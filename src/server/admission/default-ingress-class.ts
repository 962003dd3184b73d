/** Ingresses that name no class get the default one. */
import type { Ingress } from '../../api/generated/networking/v1.ts'
import type { AdmissionPlugin } from '../admission.ts'
import { newestDefault } from './default-class.ts'
import { isWriteOf } from './pods.ts'

export const defaultIngressClass: AdmissionPlugin = {
  name: 'DefaultIngressClass',
  handles: (attributes) => attributes.operation === 'CREATE' && isWriteOf(attributes, 'networking.k8s.io', 'ingresses'),
  admit({ object, context }) {
    const ingress = object as Ingress
    if (ingress.spec?.ingressClassName !== undefined || ingress.metadata?.annotations?.['kubernetes.io/ingress.class'] !== undefined)
      return ingress
    const found = newestDefault(
      context.read.list('networking.k8s.io/v1/IngressClass'),
      ({ metadata }) => metadata?.annotations?.['ingressclass.kubernetes.io/is-default-class'] === 'true',
    )
    return found ? { ...ingress, spec: { ...ingress.spec, ingressClassName: found.metadata?.name ?? '' } } : ingress
  },
}
