#include <utility>

#include "skerry/runtime/text_filter.hpp"

#include "wire.hpp"

namespace skerry::runtime::wire {
namespace {

constexpr int kMaxTensors = 1024;

}  // namespace

void put_tensor(Tensor tensor, pb::Tensor& out) {
  out.set_name(to_valid_utf8(tensor.name));
  out.set_type(static_cast<std::uint32_t>(tensor.type));
  out.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
  out.set_data(std::move(tensor.data));
}

Result<std::vector<Tensor>> parse_tensors(google::protobuf::RepeatedPtrField<pb::Tensor>& in) {
  if (in.size() > kMaxTensors) {
    return malformed("number of tensors");
  }
  std::vector<Tensor> tensors;
  for (pb::Tensor& one : in) {
    Tensor tensor;
    tensor.name = std::move(*one.mutable_name());
    tensor.type = static_cast<DataType>(one.type() > 255 ? 0 : one.type());
    tensor.shape.assign(one.shape().begin(), one.shape().end());
    tensor.data = std::move(*one.mutable_data());
    if (auto checked = check_tensor(tensor); !checked) {
      return checked.error();
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace skerry::runtime::wire
