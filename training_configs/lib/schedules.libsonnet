// How learning rates change.
{
  // Halved after so many epochs without progress.
  plateau(patience): { type: 'reduce_on_plateau', mode: 'max', factor: 0.5, patience: patience },

  // Rising over this fraction of training, then falling to nothing by its end, however long it is.
  falling(rising=0.1): { type: 'slanted_triangular', cut_frac: rising },
}
