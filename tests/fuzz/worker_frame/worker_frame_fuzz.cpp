// The byte stream of the worker protocol, read as the supervisor and as the worker read it.

#include <cstddef>
#include <cstdint>

#include "skerry/runtime/frame.hpp"

#include "wire.hpp"

namespace {

using namespace skerry::runtime;

void as_supervisor(const std::string& payload) {
  skerry::worker::v1::FromWorker message;
  if (!message.ParseFromString(payload)) {
    return;
  }
  if (message.has_event()) {
    static_cast<void>(wire::parse_event(*message.mutable_event()));
  } else if (message.has_loaded()) {
    ModelInfo info;
    static_cast<void>(wire::parse_model(message.loaded(), info));
  } else if (message.has_setup_done()) {
    static_cast<void>(wire::parse_sandbox(message.setup_done()));
  } else if (message.has_prefix_save()) {
    static_cast<void>(wire::parse_prefix(message.prefix_save()));
  } else if (message.has_prefix_query()) {
    static_cast<void>(wire::parse_question(message.prefix_query()));
  } else if (message.has_failed()) {
    static_cast<void>(wire::parse_error(message.failed().code(), message.failed().message()));
  }
}

void as_worker(const std::string& payload) {
  skerry::worker::v1::ToWorker message;
  if (message.ParseFromString(payload) && message.has_submit()) {
    static_cast<void>(wire::parse_request(*message.mutable_submit()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FrameDecoder decoder;
  // In two parts, as a socket may deliver it.
  decoder.feed({data, size / 2});
  for (int part = 0; part < 2; ++part) {
    for (auto frame = decoder.next(); frame && *frame; frame = decoder.next()) {
      as_supervisor((*frame)->payload);
      as_worker((*frame)->payload);
    }
    if (part == 0) {
      decoder.feed({data + size / 2, size - size / 2});
    }
  }
  return 0;
}
