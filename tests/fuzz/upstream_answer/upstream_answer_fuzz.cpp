// Everything that an upstream may send: an HTTP response with events in it, lists, a page of
// metrics, and the signed description of an upstream model.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "skerry/agent/upstream_http.hpp"
#include "skerry/agent/upstream_stream.hpp"
#include "skerry/registry/upstream_spec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace upstream = skerry::agent::upstream;
  const std::string_view text{reinterpret_cast<const char*>(data), size};

  upstream::ReplyReader reply{1U << 20U};
  upstream::SseReader sse;
  upstream::TextAnswer answer{true, size % 4};
  std::vector<upstream::SseEvent> events;
  // The first byte says in which pieces it arrives.
  const std::size_t step = size == 0 ? 1 : 1U + data[0] % 61U;
  bool alive = true;
  for (std::size_t at = 0; alive && at < size; at += step) {
    alive = reply.feed(text.substr(at, step)).has_value() &&
            sse.feed(reply.take_body(), events).has_value();
  }
  if (alive && reply.finish() && reply.has_head()) {
    static_cast<void>(reply.content_type());
    static_cast<void>(reply.retry_after());
  }
  upstream::SseReader bare;
  if (bare.feed(text, events)) {
    bare.finish(events);
  }
  for (const upstream::SseEvent& event : events) {
    if (!answer.take(event)) {
      break;
    }
  }
  static_cast<void>(answer.end());
  static_cast<void>(upstream::fault_of(400 + static_cast<int>(size % 200), text));
  static_cast<void>(upstream::read_embeddings(text, 2));
  if (auto models = upstream::read_models(text); models) {
    static_cast<void>(
        upstream::offers(upstream::quirks_of(upstream::ServerKind::kOllama), *models, "a"));
  }
  static_cast<void>(upstream::read_load(text));
  static_cast<void>(upstream::parse_spec(text));
  static_cast<void>(upstream::parse_url(text));
  return 0;
}
