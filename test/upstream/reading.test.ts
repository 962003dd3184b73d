/** Lists, watches and selectors, as upstream answers them. */
import { compare, type Scenario, type Step } from './compare.ts'
import { configMap, labelled, pod } from './objects.ts'

const post = (body: object, path = '{ns}/configmaps'): Step => ({ method: 'POST', path, body })
const three = [post(labelled('a', { app: 'x' })), post(labelled('b', { app: 'y' })), post(labelled('c', { app: 'x' }))]
const get = (...paths: readonly string[]): readonly Step[] => paths.map((path) => ({ path }))
const cms = (query: string): string => `{ns}/configmaps?${query}`

/** The resourceVersion of an object that was answered before. */
const rv = (seen: readonly { readonly body: { readonly metadata?: { readonly resourceVersion?: string } } }[], index: number): string =>
  seen[index]!.body.metadata!.resourceVersion!

const token = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const lists: readonly Scenario[] = [
  {
    name: 'limit and continue',
    steps: [
      ...three,
      ...get(cms('limit=2'), cms('limit=3'), cms('limit=10'), cms('limit=0'), cms('limit=-1'), cms('limit=abc'), cms('limit=')),
      (seen) => ({ path: cms(`limit=2&continue=${seen[3]!.body.metadata!.continue}`) }),
      (seen) => ({ path: cms(`limit=1&continue=${seen[3]!.body.metadata!.continue}&resourceVersion=0`) }),
      (seen) => ({ path: cms(`limit=1&continue=${seen[3]!.body.metadata!.continue}&resourceVersion=1`) }),
      (seen) => ({ path: cms(`limit=1&continue=${seen[3]!.body.metadata!.continue}&resourceVersionMatch=NotOlderThan`) }),
      ...get(cms('limit=1&labelSelector=app%3Dx'), cms('limit=2&labelSelector=app%3Dx'), cms('limit=1&fieldSelector=metadata.name%3Db')),
      ...get(cms('limit=1&resourceVersion=0')),
      (seen) => ({ path: cms(`limit=1&resourceVersion=${rv(seen, 1)}`) }),
    ],
  },
  {
    name: 'continue tokens that are none',
    steps: get(
      cms('continue=abc'),
      cms('continue=%25'),
      cms(`continue=${token({ v: 'x', rv: 1, start: 'a' })}`),
      cms(`continue=${token({ v: 'meta.k8s.io/v1', rv: 0, start: 'a' })}`),
      cms(`continue=${token({ v: 'meta.k8s.io/v1', rv: 1, start: '' })}`),
      cms(`continue=${token({ v: 'meta.k8s.io/v1', rv: 1, start: '../a' })}`),
      cms(`continue=${token({ v: 'meta.k8s.io/v1', rv: 1 })}`),
      cms(`continue=${token({ v: 'meta.k8s.io/v1', rv: -1, start: 'a\0' })}`),
      cms(`continue=${token([])}`),
    ),
  },
  {
    name: 'resourceVersion and resourceVersionMatch',
    steps: [
      ...three,
      ...get(
        cms('resourceVersion=abc'),
        cms('resourceVersion=-1'),
        cms('resourceVersion=0'),
        cms('resourceVersionMatch=Exact'),
        cms('resourceVersionMatch=Exact&resourceVersion=0'),
        cms('resourceVersionMatch=NotOlderThan&resourceVersion=0'),
        cms('resourceVersionMatch=Bogus&resourceVersion=1'),
        cms('resourceVersionMatch=Bogus'),
        cms('sendInitialEvents=true'),
        cms('sendInitialEvents=false&resourceVersionMatch=NotOlderThan'),
        cms('timeoutSeconds=abc'),
        cms('allowWatchBookmarks=maybe'),
        cms('watch=maybe&timeoutSeconds=1'),
        '{ns}/configmaps/a?resourceVersion=0',
        '{ns}/configmaps/a?resourceVersion=abc',
      ),
      (seen) => ({ path: cms(`resourceVersionMatch=Exact&resourceVersion=${rv(seen, 0)}`) }),
      (seen) => ({ path: cms(`resourceVersionMatch=NotOlderThan&resourceVersion=${rv(seen, 0)}`) }),
      (seen) => ({ path: cms(`resourceVersion=${rv(seen, 0)}`) }),
      (seen) => ({ path: cms(`resourceVersion=${rv(seen, 0)}&limit=1`) }),
      (seen) => ({ path: `{ns}/configmaps/a?resourceVersion=${rv(seen, 0)}` }),
    ],
  },
  {
    name: 'from the future',
    steps: get(
      cms('resourceVersion=99999999'),
      cms('resourceVersion=99999999&resourceVersionMatch=Exact'),
      '{ns}/configmaps/a?resourceVersion=99999999',
      cms('watch=1&resourceVersion=99999999&timeoutSeconds=1'),
    ),
  },
]

const watched = (query: string): ((seen: Parameters<typeof rv>[0]) => Step) => {
  return (seen) => ({ path: cms(`watch=1&timeoutSeconds=1&${query.replaceAll('$0', rv(seen, 0))}`) })
}

const watches: readonly Scenario[] = [
  {
    name: 'from a revision, with selectors that objects enter and leave',
    steps: [
      ...three,
      { method: 'PATCH', path: '{ns}/configmaps/a', type: 'application/merge-patch+json', body: { metadata: { labels: { app: 'y' } } } },
      { method: 'PATCH', path: '{ns}/configmaps/a', type: 'application/merge-patch+json', body: { data: { a: '1' } } },
      { method: 'DELETE', path: '{ns}/configmaps/b' },
      watched('resourceVersion=$0'),
      watched('resourceVersion=$0&labelSelector=app%3Dx'),
      watched('resourceVersion=$0&labelSelector=app%3Dy'),
      watched('resourceVersion=$0&fieldSelector=metadata.name%3Db'),
      watched('resourceVersion=$0&allowWatchBookmarks=true&fieldSelector=metadata.name%3Db'),
      (seen) => ({ path: `{ns}/configmaps/a?watch=1&timeoutSeconds=1&resourceVersion=${rv(seen, 0)}` }),
      (seen) => ({ path: `/api/v1/watch/namespaces/{name}/configmaps?timeoutSeconds=1&resourceVersion=${rv(seen, 0)}` }),
      (seen) => ({ path: `/api/v1/watch/namespaces/{name}/configmaps/a?timeoutSeconds=1&resourceVersion=${rv(seen, 0)}` }),
    ],
  },
  {
    name: 'initial events',
    steps: [
      ...three,
      ...get(
        cms('watch=1&timeoutSeconds=1'),
        cms('watch=true&timeoutSeconds=1&resourceVersion=0'),
        cms('watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'),
        cms('watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan'),
        cms('watch=1&timeoutSeconds=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan'),
        cms('watch=1&timeoutSeconds=1&sendInitialEvents=true'),
        cms('watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=Exact'),
        cms('watch=1&timeoutSeconds=1&resourceVersionMatch=NotOlderThan'),
        cms('watch=1&timeoutSeconds=1&resourceVersionMatch=Exact&resourceVersion=1'),
        cms('watch=1&timeoutSeconds=1&continue=abc'),
        cms('watch=1&timeoutSeconds=1&limit=1'),
        cms('watch=1&timeoutSeconds=1&sendInitialEvents=maybe'),
        cms(
          'watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&labelSelector=app%3Dx',
        ),
      ),
    ],
  },
  {
    name: 'what cannot be watched',
    steps: get(
      cms('watch=1&resourceVersion=abc'),
      cms('watch=1&timeoutSeconds=abc'),
      cms('watch=1&labelSelector=a%3D%3D%3Db'),
      cms('watch=1&fieldSelector=bogus%3Db'),
      '{ns}/configmaps/a?watch=1&fieldSelector=metadata.name%3Db&timeoutSeconds=1',
      '/api/v1/watch/componentstatuses?timeoutSeconds=1',
      '/api/v1/watch/bogus?timeoutSeconds=1',
    ),
  },
  {
    name: 'as Table and as metadata',
    steps: [
      ...three,
      (seen) => ({
        path: cms(`watch=1&timeoutSeconds=1&resourceVersion=${rv(seen, 0)}`),
        accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
      }),
      {
        path: cms('watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'),
        accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
      },
      {
        path: cms('watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'),
        accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
      },
      { path: cms('watch=1&timeoutSeconds=1'), accept: 'application/yaml' },
      { path: cms('watch=1&timeoutSeconds=1'), accept: 'text/plain' },
    ],
  },
]

const selectors: readonly Scenario[] = [
  {
    name: 'labels',
    steps: [
      ...three,
      ...get(
        ...[
          'app=x',
          'app==x',
          'app!=x',
          'app in (x,y)',
          'app notin (x)',
          'app',
          '!app',
          'app,other!=z',
          ' app = x ',
          '',
          ',',
          'app===x',
          'app=x,,app=y',
          'app in x',
          'app in (x',
          'app in ()',
          '-bad=x',
          'app=bad value',
          'app=-',
          'app>1',
          'app>x',
          'a/b/c=x',
          'app=x,',
          `app=${'x'.repeat(64)}`,
          `${'k'.repeat(64)}=x`,
          '!app=x',
          '(app)',
        ].map((selector) => cms(`labelSelector=${encodeURIComponent(selector)}`)),
      ),
    ],
  },
  {
    name: 'fields',
    steps: [
      ...three,
      ...get(
        ...[
          'metadata.name=a',
          'metadata.name==a',
          'metadata.name!=a',
          'metadata.name=a,metadata.name=b',
          'metadata.namespace={name}',
          'metadata.namespace=other',
          'metadata.name=A B',
          'metadata.name=',
          'metadata.name',
          'data.a=1',
          'metadata.labels.app=x',
          'metadata.name=a\\,b',
          'metadata.name=a\\b',
          '=a',
          'metadata.name=a=b',
          'metadata.name>a',
          ',',
        ].map((selector) => cms(`fieldSelector=${encodeURIComponent(selector)}`)),
      ),
    ],
  },
  {
    name: 'supported and unsupported fields of each kind',
    steps: [
      post(pod('p', { nodeName: 'n' }), '{ns}/pods'),
      ...get(
        ...[
          ['{ns}/pods', 'spec.nodeName=n'],
          ['{ns}/pods', 'spec.nodeName!=n'],
          [
            '{ns}/pods',
            'spec.restartPolicy=Always,spec.schedulerName=default-scheduler,spec.serviceAccountName=default,spec.hostNetwork=false',
          ],
          ['{ns}/pods', 'status.phase=Pending,status.podIP=,status.nominatedNodeName='],
          ['{ns}/pods', 'status.podIPs=1.2.3.4'],
          ['{ns}/pods', 'status.hostIP=1'],
          ['{ns}/pods', 'spec.priority=0'],
          ['{ns}/events', 'involvedObject.kind=Pod,involvedObject.name=p,involvedObject.uid=u,involvedObject.apiVersion=v1'],
          ['{ns}/events', 'involvedObject.resourceVersion=1,involvedObject.fieldPath=x,reason=r,reportingComponent=c,source=s,type=Normal'],
          ['{ns}/events', 'involvedObject.bogus=Pod'],
          ['/apis/events.k8s.io/v1/namespaces/{name}/events', 'regarding.kind=Pod,reason=r,reportingController=c,type=Normal'],
          ['/apis/events.k8s.io/v1/namespaces/{name}/events', 'involvedObject.kind=Pod'],
          ['/apis/events.k8s.io/v1/namespaces/{name}/events', 'regarding.bogus=Pod'],
          ['{ns}/secrets', 'type=Opaque'],
          ['{ns}/secrets', 'data=Opaque'],
          ['{ns}/services', 'spec.clusterIP=None,spec.type=ClusterIP'],
          ['{ns}/services', 'spec.bogus=None'],
          ['{ns}/replicationcontrollers', 'status.replicas=0'],
          ['{ns}/replicationcontrollers', 'spec.replicas=0'],
          ['/api/v1/namespaces', 'status.phase=Active,metadata.name={name}'],
          ['/api/v1/namespaces', 'name={name}'],
          ['/api/v1/namespaces', 'spec.bogus=1'],
          ['/api/v1/nodes', 'spec.unschedulable=false,metadata.name=none'],
          ['/api/v1/nodes', 'status.phase=x'],
          ['/api/v1/persistentvolumes', 'name=x'],
          ['/api/v1/persistentvolumes', 'spec.bogus=x'],
          ['{ns}/persistentvolumeclaims', 'name=x'],
          ['{ns}/persistentvolumeclaims', 'spec.bogus=x'],
          ['{ns}/serviceaccounts', 'spec.bogus=x'],
          ['{apps}/replicasets', 'status.replicas=0'],
          ['{apps}/replicasets', 'spec.replicas=0'],
          ['{apps}/deployments', 'status.replicas=0'],
          ['{apps}/statefulsets', 'status.successful=0'],
          ['/apis/batch/v1/namespaces/{name}/jobs', 'status.successful=0'],
          ['/apis/batch/v1/namespaces/{name}/jobs', 'status.active=0'],
          ['/apis/batch/v1/namespaces/{name}/cronjobs', 'status.active=0'],
          ['/apis/certificates.k8s.io/v1/certificatesigningrequests', 'spec.signerName=a/b'],
          ['/apis/certificates.k8s.io/v1/certificatesigningrequests', 'spec.bogus=a/b'],
          ['/apis/networking.k8s.io/v1/ipaddresses', 'spec.bogus=a'],
          ['/apis/resource.k8s.io/v1/resourceslices', 'spec.nodeName=n,spec.driver=d'],
          ['/apis/resource.k8s.io/v1/resourceslices', 'spec.pool=n'],
          ['/apis/rbac.authorization.k8s.io/v1/clusterroles', 'rules=n'],
          ['/apis/apiextensions.k8s.io/v1/customresourcedefinitions', 'spec.group=n'],
          ['/apis/apiregistration.k8s.io/v1/apiservices', 'spec.group=n'],
          ['/apis/storage.k8s.io/v1/storageclasses', 'provisioner=n'],
        ].map(([path, selector]) => `${path}?fieldSelector=${encodeURIComponent(selector!)}`),
      ),
    ],
  },
  {
    name: 'the same in names of the path',
    steps: [
      post(configMap('a')),
      ...get('{ns}/configmaps/a?fieldSelector=metadata.name%3Db', '/api/v1/configmaps?fieldSelector=metadata.namespace%3D{name}'),
    ],
  },
]

compare('lists', lists)
compare('watches', watches)
compare('selectors', selectors)
