/**
 * The part of etcd's API v3 that the store uses (etcdserverpb and mvccpb, the same from 3.4 to 3.7): names and field numbers are facts
 * of that interface. Fields that are never set or read are left out.
 */
export const ETCD_PROTO = `
package etcdserverpb
service KV {
  Range(RangeRequest) RangeResponse
  Txn(TxnRequest) TxnResponse
  Compact(CompactionRequest) CompactionResponse
}
service Watch {
  Watch(stream WatchRequest) stream WatchResponse
}
message ResponseHeader { int64 revision = 3 }
message KeyValue { bytes key = 1; int64 create_revision = 2; int64 mod_revision = 3; bytes value = 5 }
message RangeRequest {
  bytes key = 1; bytes range_end = 2; int64 limit = 3; int64 revision = 4; bool keys_only = 8; bool count_only = 9
}
message RangeResponse { ResponseHeader header = 1; repeated KeyValue kvs = 2; bool more = 3; int64 count = 4 }
message PutRequest { bytes key = 1; bytes value = 2 }
message PutResponse { ResponseHeader header = 1 }
message DeleteRangeRequest { bytes key = 1 }
message DeleteRangeResponse { int64 deleted = 2 }
message RequestOp { RangeRequest request_range = 1; PutRequest request_put = 2; DeleteRangeRequest request_delete_range = 3 }
message ResponseOp { RangeResponse response_range = 1; PutResponse response_put = 2; DeleteRangeResponse response_delete_range = 3 }
message Compare { int32 result = 1; int32 target = 2; bytes key = 3; int64 mod_revision = 6 }
message TxnRequest { repeated Compare compare = 1; repeated RequestOp success = 2; repeated RequestOp failure = 3 }
message TxnResponse { ResponseHeader header = 1; bool succeeded = 2; repeated ResponseOp responses = 3 }
message CompactionRequest { int64 revision = 1 }
message CompactionResponse { ResponseHeader header = 1 }
message WatchRequest { WatchCreateRequest create_request = 1; WatchProgressRequest progress_request = 3 }
message WatchCreateRequest { bytes key = 1; bytes range_end = 2; int64 start_revision = 3; bool progress_notify = 4 }
message WatchProgressRequest {
}
message WatchResponse {
  ResponseHeader header = 1; bool created = 3; bool canceled = 4; int64 compact_revision = 5; string cancel_reason = 6
  repeated Event events = 11
}
message Event { int32 type = 1; KeyValue kv = 2 }
`

export interface KeyValue {
  readonly key: Buffer
  readonly value: Buffer
  readonly create_revision: number
  readonly mod_revision: number
}

interface Header {
  readonly revision: number
}

export interface RangeResponse {
  readonly header: Header
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
  readonly count: number
}

export interface TxnResponse {
  readonly header: Header
  readonly succeeded: boolean
  /** One an operation; exactly one of the fields is set. */
  readonly responses: readonly {
    readonly response_range: RangeResponse | null
    readonly response_put: object | null
    readonly response_delete_range: { readonly deleted: number } | null
  }[]
}

export interface WatchResponse {
  readonly header: Header
  readonly created: boolean
  readonly canceled: boolean
  readonly compact_revision: number
  readonly cancel_reason: string
  readonly events: readonly { readonly type: number; readonly kv: KeyValue }[]
}

/** Of Event.type, Compare.result and Compare.target. */
export const DELETE_EVENT = 1
export const COMPARE_EQUAL = 0
export const COMPARE_MOD = 2
