#include "onnx_value.hpp"

#include <string>
#include <string_view>

#include "onnx_tensor.hpp"

namespace skerry::registry::onnx {

OnnxValue ValueReader::read(std::uint64_t end) {
  OnnxValue value;
  Once once;
  Field field;
  while (wire_.next(end, field)) {
    switch (field.number) {
      case 1:
        once.check(wire_, field);
        value.name = wire_.text(field, end, limits_.max_name_bytes);
        break;
      case 2: {
        once.check(wire_, field);
        const Wire::Scope scope{wire_, "type"};
        read_type(wire_.open(field, end), value);
        break;
      }
      case 3:  // doc_string
      case 4:  // metadata_props
        wire_.skip_bytes(field, end);
        break;
      default:
        wire_.unknown(field);
    }
  }
  return value;
}

// Only a plain tensor type fills `value`; the others are walked and leave it without a type.
void ValueReader::read_type(std::uint64_t end, OnnxValue& value, std::uint64_t depth) {
  if (depth > limits_.max_type_depth) {
    wire_.fail_limit(wire_.position(),
                     "types nest deeper than " + std::to_string(limits_.max_type_depth));
    return;
  }
  std::uint32_t kind = 0;
  Field field;
  while (wire_.next(end, field)) {
    if (field.number == 6) {  // denotation
      wire_.skip_bytes(field, end);
      continue;
    }
    if (kind != 0) {
      wire_.fail(field.at, "a type of two kinds");
      return;
    }
    kind = field.number;
    const std::uint64_t stop = wire_.open(field, end);
    OnnxValue inner;
    switch (field.number) {
      case 1:
        read_tensor_type(stop, depth == 0 ? value : inner);
        break;
      case 4:    // sequence
      case 5:    // map
      case 9: {  // optional
        Field part;
        while (wire_.next(stop, part)) {
          if (part.number == 1 && part.type == WireType::kVarint) {
            wire_.integer(part);  // a map's key type
          } else if (part.number <= 2) {
            read_type(wire_.open(part, stop), inner, depth + 1);
          } else {
            wire_.unknown(part);
          }
        }
        break;
      }
      case 8:
        wire_.fail(field.at, "sparse tensors are not admitted");
        break;
      default:
        wire_.unknown(field);
    }
  }
}

void ValueReader::read_tensor_type(std::uint64_t end, OnnxValue& value) {
  Once once;
  Field field;
  while (wire_.next(end, field)) {
    once.check(wire_, field);
    if (field.number == 1) {
      const std::int64_t id = wire_.integer(field);
      const ElementType* type = find_element_type(id);
      if (wire_.ok() && type == nullptr) {
        wire_.fail(field.at, "the unknown element type " + std::to_string(id));
        return;
      }
      value.type = type == nullptr ? std::string_view{} : type->name;
    } else if (field.number == 2) {
      read_shape(wire_.open(field, end), value);
      value.has_shape = true;
    } else {
      wire_.unknown(field);
    }
  }
}

void ValueReader::read_shape(std::uint64_t end, OnnxValue& value) {
  Field field;
  while (wire_.next(end, field)) {
    if (field.number != 1) {
      wire_.unknown(field);
      return;
    }
    if (value.shape.size() >= limits_.max_rank) {
      wire_.fail_limit(field.at, "more than " + std::to_string(limits_.max_rank) + " dimensions");
      return;
    }
    value.shape.push_back(read_dimension(wire_.open(field, end)));
  }
}

std::int64_t ValueReader::read_dimension(std::uint64_t end) {
  std::int64_t length = -1;
  Field field;
  while (wire_.next(end, field)) {
    if (field.number == 1) {
      length = wire_.integer(field);
      if (wire_.ok() && length < -1) {
        wire_.fail(field.at, "a negative dimension");
      }
    } else if (field.number == 2 || field.number == 3) {
      wire_.text(field, end, limits_.max_name_bytes);
    } else {
      wire_.unknown(field);
    }
  }
  return length;
}

}  // namespace skerry::registry::onnx
