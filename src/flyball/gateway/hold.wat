;; Holds the response headers of a replica until its first body byte; see hold.py for why.
;;
;; The functions are those of the Proxy-Wasm ABI 0.2.1 that this needs. A stream is named by its context id, which grows
;; without end; `waiting` is a table of 8,192 slots by id modulo 8,192. Where two streams meet in a slot, the older one's
;; first bytes are not looked at: it is held and released like any other, only its error is not turned into a status.
;;
;; Memory: 0 constants, 64 results of host calls, 4096 `waiting` (32 KiB), 40960 the bytes that the host copies to us.
(module
  (import "env" "proxy_get_buffer_bytes"
    (func $get_buffer_bytes (param $buffer i32) (param $start i32) (param $limit i32) (param $to i32) (param $size i32)
      (result i32)))
  (import "env" "proxy_replace_header_map_value"
    (func $replace_header (param $map i32) (param $name i32) (param $name_size i32) (param $value i32)
      (param $value_size i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "data: {\"error\":")
  (data (i32.const 16) "\"code\": 5")
  (data (i32.const 32) ":status")
  (data (i32.const 48) "500")

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_context_create") (param $context i32) (param $parent i32))

  ;; The host allocates only for our own get_buffer_bytes, one at a time, of at most 1,024 bytes.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    i32.const 40960)

  (func $slot (param $context i32) (result i32)
    (i32.add (i32.const 4096) (i32.shl (i32.and (local.get $context) (i32.const 8191)) (i32.const 2))))

  (func $equal (param $a i32) (param $b i32) (param $size i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $a) (local.get $size)))
    (loop $next
      (if (i32.eq (local.get $a) (local.get $end)) (then (return (i32.const 1))))
      (if (i32.ne (i32.load8_u (local.get $a)) (i32.load8_u (local.get $b))) (then (return (i32.const 0))))
      (local.set $a (i32.add (local.get $a) (i32.const 1)))
      (local.set $b (i32.add (local.get $b) (i32.const 1)))
      (br $next))
    unreachable)

  ;; Whether the bytes are vLLM's event of a server error: data: {"error": {..., "code": 5xx}}
  (func $is_server_error (param $at i32) (param $size i32) (result i32)
    (local $last i32)
    (if (i32.lt_u (local.get $size) (i32.const 24)) (then (return (i32.const 0))))
    (if (i32.eqz (call $equal (i32.const 0) (local.get $at) (i32.const 15))) (then (return (i32.const 0))))
    (local.set $last (i32.add (local.get $at) (i32.sub (local.get $size) (i32.const 9))))
    (loop $next
      (if (call $equal (i32.const 16) (local.get $at) (i32.const 9)) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.le_u (local.get $at) (local.get $last))))
    i32.const 0)

  ;; 1 is "hold", 0 is "go on". Headers that end the stream (HEAD, 204, no body) have nothing to wait for.
  (func (export "proxy_on_response_headers")
    (param $context i32) (param $headers i32) (param $end_of_stream i32) (result i32)
    (if (local.get $end_of_stream) (then (return (i32.const 0))))
    (i32.store (call $slot (local.get $context)) (local.get $context))
    i32.const 1)

  (func (export "proxy_on_response_body")
    (param $context i32) (param $size i32) (param $end_of_stream i32) (result i32)
    (if (i32.ne (i32.load (call $slot (local.get $context))) (local.get $context)) (then (return (i32.const 0))))
    (i32.store (call $slot (local.get $context)) (i32.const 0))
    (if (call $get_buffer_bytes (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 64) (i32.const 68))
      (then (return (i32.const 0))))
    (if (call $is_server_error (i32.load (i32.const 64)) (i32.load (i32.const 68)))
      (then
        (drop (call $replace_header (i32.const 2) (i32.const 32) (i32.const 7) (i32.const 48) (i32.const 3)))))
    i32.const 0))
