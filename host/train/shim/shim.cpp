// What tch does not bind of libtorch: optimiser steps over all parameters in one call, norms of many
// tensors at once, gradients dropped instead of zeroed, the type that autocast computes in, and
// operators that keep to the thread that calls them.
//
// Every function returns null, or a message that the caller frees with `autoloss_free`. No exception
// leaves this file. Tensors come as the pointers that tch holds; they are borrowed for the call.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

namespace {

using Handles = at::Tensor *const *;

std::vector<at::Tensor> list(Handles handles, size_t count) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(count);
  for (size_t i = 0; i < count; ++i)
    tensors.push_back(*handles[i]);
  return tensors;
}

template <typename Work> char *guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception of unknown type");
  }
}

// The fused kernels walk memory, so gradients must lie in it as their parameters do.
std::vector<at::Tensor> gradients(const std::vector<at::Tensor> &parameters) {
  std::vector<at::Tensor> found;
  found.reserve(parameters.size());
  for (const auto &parameter : parameters) {
    const auto &gradient = parameter.grad();
    if (gradient.strides() == parameter.strides()) {
      found.push_back(gradient);
    } else {
      found.push_back(at::empty_like(parameter).copy_(gradient));
    }
  }
  return found;
}

std::optional<at::Tensor> divisor(double scale, const at::Tensor &like) {
  if (scale == 1.0)
    return std::nullopt;
  return at::full({}, 1.0 / scale, like.options().dtype(at::kFloat).requires_grad(false));
}

} // namespace

extern "C" {

void autoloss_free(char *message) { std::free(message); }

// Gradients become undefined: the next backward pass stores instead of adding.
char *autoloss_drop_gradients(Handles parameters, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i)
      parameters[i]->mutable_grad() = at::Tensor();
  });
}

// The norm of all gradients together, in f64.
char *autoloss_gradient_norm(Handles parameters, size_t count, double *norm) {
  return guarded([&] {
    std::vector<at::Tensor> grads;
    for (size_t i = 0; i < count; ++i)
      if (parameters[i]->grad().defined())
        grads.push_back(parameters[i]->grad());
    *norm = 0.0;
    if (grads.empty())
      return;
    at::NoGradGuard no_grad;
    auto norms = at::stack(at::_foreach_norm(grads)).to(at::kDouble);
    *norm = norms.norm().item<double>();
  });
}

// SGD with momentum and L2 decay. Every parameter must have a gradient.
char *autoloss_sgd(Handles parameters, Handles momenta, size_t count, double rate, double momentum,
                   double decay, double scale) {
  return guarded([&] {
    if (count == 0)
      return;
    at::NoGradGuard no_grad;
    auto own = list(parameters, count);
    // Without momentum it takes no averages.
    auto averages = momentum == 0.0 ? std::vector<at::Tensor>{} : list(momenta, count);
    at::_fused_sgd_(own, gradients(own), averages, decay, momentum, rate, 0.0, false, false, false,
                    divisor(scale, own[0]), std::nullopt);
  });
}

// Adam with decoupled decay; `step` counts from 1. Every parameter must have a gradient.
char *autoloss_adamw(Handles parameters, Handles first, Handles second, size_t count, double rate,
                     double beta1, double beta2, double epsilon, double decay, double scale,
                     int64_t step) {
  return guarded([&] {
    if (count == 0)
      return;
    at::NoGradGuard no_grad;
    auto own = list(parameters, count);
    auto steps = at::full({}, static_cast<double>(step),
                          own[0].options().dtype(at::kFloat).requires_grad(false));
    std::vector<at::Tensor> counters(count, steps);
    at::_fused_adamw_(own, gradients(own), list(first, count), list(second, count), {}, counters,
                      rate, beta1, beta2, decay, epsilon, false, false, divisor(scale, own[0]),
                      std::nullopt);
  });
}

// Switches autocast to bf16 on this thread; `cuda` names the device. `before` receives what
// autoloss_autocast_end needs to restore.
char *autoloss_autocast_begin(bool cuda, int32_t *before) {
  return guarded([&] {
    const auto device = cuda ? at::kCUDA : at::kCPU;
    *before = (static_cast<int32_t>(at::autocast::get_autocast_dtype(device)) << 1) |
              (at::autocast::is_autocast_enabled(device) ? 1 : 0);
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::increment_nesting();
  });
}

char *autoloss_autocast_end(bool cuda, int32_t before) {
  return guarded([&] {
    const auto device = cuda ? at::kCUDA : at::kCPU;
    if (at::autocast::decrement_nesting() == 0)
      at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, (before & 1) != 0);
    at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(before >> 1));
  });
}

// The number of threads of OpenMP is the calling thread's own, whereas at::set_num_threads also sets
// that of threads to come. libtorch brings OpenMP along; it is looked up, not linked.
char *autoloss_keep_to_this_thread() {
  return guarded([] {
    // A thread's first parallel operator sets the number; asking for it does so now.
    at::get_num_threads();
    const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (set != nullptr)
      set(1);
  });
}

} // extern "C"
