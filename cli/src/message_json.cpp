#include "message_json.hpp"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

namespace skerry::cli {

std::string to_json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string out;
  if (!google::protobuf::util::MessageToJsonString(message, &out, options).ok()) {
    return "{}\n";
  }
  return out;
}

}  // namespace skerry::cli
