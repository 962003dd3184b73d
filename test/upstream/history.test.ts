/** What is no longer known: pages of lists that have become too old, revisions from before, and revisions that are still to come. */
import { compare, type Scenario, type Step } from './compare.ts'
import { configMap, labelled } from './objects.ts'
import { startForgetfulServers } from './servers.ts'

const post = (name: string): Step => ({ method: 'POST', path: '{ns}/configmaps', body: labelled(name, { app: 'x' }) })
const cms = (query: string): string => `{ns}/configmaps?${query}`
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const PROTOBUF = 'application/vnd.kubernetes.protobuf'

const scenarios: readonly Scenario[] = [
  {
    name: 'a list goes on with what there is now',
    steps: [
      ...['a', 'b', 'c', 'd'].map(post),
      { path: cms('limit=1') },
      { path: cms('limit=1&labelSelector=app%3Dx') },
      { method: 'DELETE', path: '{ns}/configmaps/b' },
      { method: 'POST', path: '{ns}/configmaps', body: configMap('bb') },
      (seen) => ({ path: cms(`limit=1&continue=${seen[4]!.body.metadata!.continue}`), until: 410 }),
      (seen) => ({ path: cms(`limit=1&continue=${seen[4]!.body.metadata!.continue}`), accept: TABLE }),
      (seen) => ({ path: cms(`limit=1&continue=${seen[4]!.body.metadata!.continue}`), accept: 'application/yaml' }),
      (seen) => ({ path: cms(`limit=1&labelSelector=app%3Dx&continue=${seen[5]!.body.metadata!.continue}`) }),
      // The token of the refusal.
      (seen) => ({ path: cms(`limit=1&continue=${seen[8]!.body.metadata!.continue}`) }),
      (seen) => ({ path: cms(`limit=1&continue=${seen[12]!.body.metadata!.continue}`) }),
      (seen) => ({ path: cms(`continue=${seen[8]!.body.metadata!.continue}`) }),
      (seen) => ({ path: cms(`continue=${seen[8]!.body.metadata!.continue}&resourceVersion=0`) }),
      (seen) => ({ path: cms(`resourceVersion=${seen[0]!.body.metadata!.resourceVersion}&resourceVersionMatch=Exact`) }),
      (seen) => ({ path: cms(`resourceVersion=${seen[0]!.body.metadata!.resourceVersion}&limit=1`) }),
      (seen) => ({ path: cms(`resourceVersion=${seen[0]!.body.metadata!.resourceVersion}&resourceVersionMatch=NotOlderThan`) }),
      { path: cms('resourceVersion=1&resourceVersionMatch=Exact') },
    ],
  },
  {
    name: 'watches from too long ago',
    steps: [
      post('a'),
      ...['', 'allowWatchBookmarks=true', 'fieldSelector=metadata.name%3Da', 'labelSelector=app%3Dx'].map((more) => ({
        path: cms(`watch=1&timeoutSeconds=1&resourceVersion=1&${more}`),
      })),
      { path: cms('watch=1&timeoutSeconds=1&resourceVersion=1'), accept: TABLE },
      { path: '{ns}/configmaps/a?watch=1&timeoutSeconds=1&resourceVersion=1' },
      {
        path: cms(
          'watch=1&timeoutSeconds=1&resourceVersion=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true',
        ),
      },
      { path: cms('watch=1&timeoutSeconds=1&resourceVersion=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan') },
    ],
  },
  {
    name: 'from the future',
    steps: [
      post('a'),
      ...[
        'resourceVersion=99999999&resourceVersionMatch=NotOlderThan',
        'resourceVersion=99999999&limit=1',
        'resourceVersion=99999999&labelSelector=app%3Dx',
        'watch=1&timeoutSeconds=1&resourceVersion=99999999&allowWatchBookmarks=true',
        'watch=1&timeoutSeconds=1&resourceVersion=99999999&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true',
      ].map((query) => ({ path: cms(query) })),
      { path: cms('resourceVersion=99999999'), accept: PROTOBUF },
    ],
  },
]

compare('history', scenarios, () => startForgetfulServers(2))
