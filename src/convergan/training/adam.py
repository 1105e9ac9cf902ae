"""Adam without torch's compiler."""

import inspect

import torch


class Adam(torch.optim.Adam):
    """torch's Adam, whose methods are not guarded against `torch.compile`.

    The guards import the compiler, which takes a second of every start, and are of use only where a step of
    the optimizer itself is compiled. The numbers are those of `torch.optim.Adam`.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
