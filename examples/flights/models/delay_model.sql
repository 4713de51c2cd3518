-- Will a departed flight arrive late? A linear model over what is known at push-back, trained in the engine.
create model delay_model
options (
  model_type = 'logistic_reg',
  input_label_cols = ['is_late'],
  l2_reg = 1.0,
  gates = ['roc_auc >= 0.85']     -- a version below it is kept, and readers keep the one before
)
as
select
  is_late,
  least(dep_delay, 180)          as dep_delay,    -- beyond three hours, more is not later
  distance, hour, carrier, origin, humid, wind_speed, precip_6h, visib, route_late_rate_1d
from {{ ref('feat_flight') }}
